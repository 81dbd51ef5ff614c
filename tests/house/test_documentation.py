"""Documents and messages name commands, options, targets and files that exist; every error says what to do."""

import ast
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

import click
import pytest
from click.shell_completion import BashComplete

from pipelines.cli import radmill
from pipelines.cli.reference import commands, reference_page

ROOT = Path(__file__).resolve().parents[2]
TOP = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")]
GENERATED = ROOT / "docs/reference/commands.md"
PAGES = TOP + sorted(path for path in (ROOT / "docs").rglob("*.md") if path != GENERATED)
CODE = [path for name in ("featurestore", "registry", "pipelines") for path in sorted((ROOT / name).rglob("*.py"))]
COMMANDS = {ctx.command_path: ctx for ctx in commands()}
ENDS = {"|", "||", "&&", ";", ">", ">>", "}", "2>&1"}


def blocks(text: str) -> Iterator[str]:
    """Lines of code blocks that call radmill, continued lines joined, as what stands behind the word."""
    for block in re.findall(r"^```(?:sh|bash)?\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            for called in re.findall(r"(?:^|&& |\| |; )(?:\S*/)?radmill (.*)", line):
                yield called.partition(" && radmill ")[0]


def spans(text: str) -> Iterator[str]:
    """What stands behind `radmill` in code within sentences."""
    return (" ".join(found.split()) for found in re.findall(r"(?<!`)`radmill ([^`]+)`", text))


def words(line: str) -> list[str]:
    """The words up to the end of the command; comments are left out, quotes that a document left open are no matter."""
    try:
        found = shlex.split(line, comments=True)
    except ValueError:
        found = line.split()
    end = next((place for place, word in enumerate(found) if word in ENDS), len(found))
    return [word.rstrip(";,") for word in found[:end]]


def complaint(line: str, *, whole: bool) -> str:
    """Says what is wrong with a call: a command, an option or a number of words that does not exist.

    Args:
        line: What stands behind `radmill`.
        whole: That nothing is left out, as in a code block; a sentence may leave out what an option takes.
    """
    path, rest = "radmill", words(line)
    while isinstance(COMMANDS[path].command, click.Group) and rest and not rest[0].startswith(("-", "<", "…", "{")):
        missing = [name for name in rest[0].split("|") if f"{path} {name}" not in COMMANDS]
        if missing and not whole and rest[0].isupper():
            return ""  # a sentence about commands as such
        if missing:
            return f"no command `{path} {missing[0]}`"
        path, rest = f"{path} {rest[0].split('|')[0]}", rest[1:]
    ctx = COMMANDS[path]
    try:
        ctx.resilient_parsing = not whole
        _, left, _ = ctx.command.make_parser(ctx).parse_args(rest)
    except click.NoSuchOption as error:
        return f"`{path}`: {error.message}"
    except click.UsageError as error:
        return f"`{path}`: {error.message}" if whole else ""
    return f"`{path}` takes no {left}" if whole and left else ""


def test_calls_in_code_blocks_exist_with_their_options() -> None:
    wrong = [
        f"{page.relative_to(ROOT)}: radmill {line}: {told}"
        for page in PAGES
        for line in blocks(page.read_text())
        if (told := complaint(line, whole=True))
    ]
    assert not wrong


def test_calls_named_in_sentences_and_in_messages_exist() -> None:
    """A remedy that names a command which is not there helps nobody."""
    wrong = [
        f"{path.relative_to(ROOT)}: radmill {line}: {told}"
        for path in [*PAGES, *CODE]
        for line in spans(path.read_text())
        if (told := complaint(line, whole=False))
    ]
    assert not wrong


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("forecast", "no command"),
        ("models forget 1", "no command"),
        ("score --fast", "No such option"),
        ("run extract twice", "takes no"),
        ("score --out", "requires an argument"),
    ],
)
def test_a_wrong_call_is_seen(line: str, told: str) -> None:
    assert told in complaint(line, whole=True)


def test_some_calls_are_found_at_all() -> None:
    found = [line for page in PAGES for line in blocks(page.read_text())]
    assert len(found) > 40
    assert any(line.startswith("schedule install --kind systemd") for line in found)


def test_make_targets_that_documents_name_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        (page.name, target)
        for page in PAGES
        for target in re.findall(r"(?:`|^)make ([a-z-]+)", page.read_text(), re.MULTILINE)
    }
    assert not {(page, target) for page, target in named if target not in targets and target not in ("it", "a", "the")}


def test_links_between_documents_lead_somewhere() -> None:
    dead = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert not dead


def test_every_document_is_in_the_navigation_of_the_site() -> None:
    listed = re.findall(r"^ +- (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md"))


def test_the_page_of_commands_is_the_one_the_code_gives() -> None:
    assert GENERATED.read_text() == reference_page(), "run `python -m pipelines.cli.reference`"


def test_the_shell_completes_commands_and_options() -> None:
    def completed(path: list[str], begun: str) -> set[str]:
        shell = BashComplete(radmill, {}, "radmill", "_RADMILL_COMPLETE")
        return {item.value for item in shell.get_completions(path, begun)}

    assert completed([], "sch") == {"schedule"}
    assert completed(["features"], "tr") == {"trace"}
    assert completed(["schedule", "install", "--kind"], "") == {"systemd", "cron", "kubernetes"}
    assert "--unverified" in completed(["score"], "--")


class Errors:
    """Classes of errors by name, as the source declares them."""

    def __init__(self, trees: Mapping[Path, ast.Module]) -> None:
        nodes = [node for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
        self.bases = {node.name: [ast.unparse(base).split(".")[-1] for base in node.bases] for node in nodes}
        self.told = {node.name for node in nodes if node.name != "RadmillError" and self._says(node)}

    @staticmethod
    def _says(node: ast.ClassDef) -> bool:
        """Whether the class states a remedy itself, makes one where it is raised, or is about nothing wrong."""
        for line in node.body:
            if isinstance(line, ast.Assign) and ast.unparse(line) == "status = 'ok'":
                return True
            if isinstance(line, ast.Assign | ast.AnnAssign) and "default_remedy" in ast.unparse(line):
                return line.value is not None and ast.unparse(line.value) not in ("''", '""')
            if isinstance(line, ast.FunctionDef) and line.name == "__init__" and "remedy" in ast.unparse(line):
                return True
        return False

    def is_ours(self, name: str) -> bool:
        return name == "RadmillError" or any(self.is_ours(base) for base in self.bases.get(name, []))

    def has_remedy(self, name: str) -> bool:
        return name in self.told or any(self.has_remedy(base) for base in self.bases.get(name, []))


def called(node: ast.Call) -> str:
    """The name of what a call calls."""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def silent(trees: Mapping[Path, ast.Module]) -> Iterator[str]:
    """Errors that are made without saying what to do."""
    errors = Errors(trees)
    mute = {name for name in ("RadmillError", *errors.bases) if errors.is_ours(name) and not errors.has_remedy(name)}
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or (name := called(node)) not in mute:
                continue
            if not any(keyword.arg in ("remedy", None) for keyword in node.keywords):
                yield f"{path.name}:{node.lineno} {name}"


def test_every_error_says_what_to_do() -> None:
    trees = {path: ast.parse(path.read_text()) for path in CODE}
    errors = Errors(trees)
    assert sum(errors.is_ours(name) for name in errors.bases) > 150
    assert not sorted(silent(trees))


def test_an_error_without_a_remedy_is_seen() -> None:
    source = """class RadmillError: ...
class Lost(RadmillError): ...
raise Lost('gone')
raise Lost('gone', remedy='look')"""
    assert list(silent({Path("x.py"): ast.parse(source)})) == ["x.py:3 Lost"]
