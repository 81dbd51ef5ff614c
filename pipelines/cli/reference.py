"""Writes the reference page of all commands from the commands themselves, so that it cannot lag behind them."""

import inspect
from collections.abc import Iterator

import click

from pipelines.cli import radmill

_INTRODUCTION = """# Commands

Every command with its options, generated from the code (`python -m pipelines.cli.reference`). `-h` or `--help` behind
any of them shows the same. Exit codes: 0 done; 1 done, but some cases were refused or failed; 2 wrong input, nothing
written; 3 a fault.
"""


def commands(command: click.Command = radmill, above: click.Context | None = None) -> Iterator[click.Context]:
    """Yields a context for `radmill` and for each command below it, in the order of `radmill --help`."""
    name = command.name if above else "radmill"
    ctx = click.Context(command, info_name=name, parent=above)
    yield ctx
    if isinstance(command, click.Group):
        for below in command.list_commands(ctx):
            found = command.get_command(ctx, below)
            if found is not None and not found.hidden:
                yield from commands(found, ctx)


def reference_page() -> str:
    """Returns the page as Markdown."""
    everything = [ctx for ctx in commands() if ctx.parent is not None]
    return "\n".join([_INTRODUCTION, *(line for ctx in everything for line in _section(ctx))])


def _section(ctx: click.Context) -> list[str]:
    usage = " ".join([ctx.command_path, *ctx.command.collect_usage_pieces(ctx)])
    depth = "#" * (ctx.command_path.count(" ") + 1)
    return [f"{depth} `{ctx.command_path}`", "", *_told(ctx.command), "```", usage, "```", "", *_options(ctx)]


def _told(command: click.Command) -> list[str]:
    lines: list[str] = []
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        if paragraph.startswith("\b"):
            lines += ["```", *paragraph.split("\n")[1:], "```", ""]
        else:
            lines += [_plain(paragraph), ""]
    return lines


def _options(ctx: click.Context) -> list[str]:
    records = [
        found
        for option in ctx.command.params
        if isinstance(option, click.Option) and (found := option.get_help_record(ctx)) is not None
    ]
    rows = [f"| {_code(name)} | {_plain(meaning).replace('|', '&#124;')} |" for name, meaning in records]
    return ["| option | meaning |", "|---|---|", *rows, ""] if rows else []


def _plain(text: str) -> str:
    """Returns the text on one line, with `<` outside of code written so that no browser takes it for a tag."""
    parts = " ".join(text.split()).split("`")
    return "`".join(part if place % 2 else part.replace("<", "&lt;") for place, part in enumerate(parts))


def _code(text: str) -> str:
    """Returns the text as code in a cell; a bar ends a cell, for some readers even within code."""
    return f"<code>{text.replace('|', '&#124;')}</code>" if "|" in text else f"`{text}`"


if __name__ == "__main__":
    from pathlib import Path

    from featurestore.files import write_text

    write_text(Path("docs/reference/commands.md"), reference_page())
