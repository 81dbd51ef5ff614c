"""What people see while and after a command works: progress on stderr, a short table on stdout."""

import sys
import time
from collections.abc import Mapping, Sequence

import click
from rich.console import Console
from rich.table import Table

from featurestore.visible import visible

LINE_EVERY_S = 10.0
"""How often progress is written when nobody watches a terminal."""


def tell(line: str) -> None:
    """Says on stderr, on a line of its own, what a person should know while something else goes on."""
    click.echo(f"\r\033[Knote: {line}" if sys.stderr.isatty() else f"note: {line}", err=True)


class TerminalProgress:
    """Writes `work: done / total, failed, time left` on stderr; one rewritten line on a terminal, seldom lines else."""

    def __init__(self) -> None:
        self.cost_s: float | None = None
        self._live = sys.stderr.isatty()
        self._work, self._total, self._done, self._failed = "", 0, 0, 0
        self._began = self._told = 0.0

    def start(self, work: str, total: int, unchanged: int = 0) -> None:
        """Says what begins and how much there is to do."""
        self._work, self._total, self._done, self._failed = work, total, 0, 0
        self._began = self._told = time.monotonic()
        if unchanged:
            click.echo(f"{work}: {unchanged} unchanged, {total} to do", err=True)
        elif total:
            click.echo(f"{work}: {total} to do", err=True)

    def advance(self, *, failed: bool = False, note: str = "") -> None:
        """Counts one done."""
        self._done += 1
        self._failed += failed
        now = time.monotonic()
        if self._live and now - self._told > 0.1:
            click.echo(f"\r\033[K{self._line(now)} {note}"[:160], err=True, nl=False)
            self._told = now
        elif not self._live and now - self._told > LINE_EVERY_S:
            click.echo(self._line(now), err=True)
            self._told = now

    def finish(self) -> None:
        """Ends the line."""
        if self._total:
            lead = "\r\033[K" if self._live else ""
            took = time.monotonic() - self._began
            self.cost_s = took / max(self._done, 1)
            click.echo(f"{lead}{self._work}: {self._done} done, {self._failed} failed, {took:.0f} s", err=True)
        self._total = 0

    def _line(self, now: float) -> str:
        left = (now - self._began) / self._done * max(self._total - self._done, 0)
        return f"{self._work}: {self._done} / {self._total}, {self._failed} failed, {_duration(left)} left"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def print_table(title: str, rows: Sequence[Mapping[str, object]]) -> None:
    """Prints rows as a table, or says that there are none; plain text when piped."""
    if not rows:
        click.echo(f"{title}: none")
        return
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in rows[0]:
        numeric = all(isinstance(row[name], int | float) for row in rows)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row[name]) for name in rows[0]))
    width = None if sys.stdout.isatty() else 160
    Console(file=sys.stdout, width=width, highlight=False, markup=False).print(table)


def print_facts(facts: Mapping[str, object]) -> None:
    """Prints a few facts, one a line."""
    width = max((len(name) for name in facts), default=0)
    for name, value in facts.items():
        click.echo(f"{name:<{width}}  {_cell(value)}")


def _cell(value: object) -> str:
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.3f}"
        case _:
            return visible(str(value))
