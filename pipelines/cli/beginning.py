"""`radmill init` on own data: what lies in the centers' folders is looked at, shown, asked about, and written down."""

import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import click

from featurestore.errors import InputError
from pipelines.cli.terminal import TerminalProgress, print_facts, print_table
from pipelines.looking import Proposal, find_centers, look_at_center, propose
from pipelines.looking.choices import Choices
from pipelines.looking.choosing import (
    AnswerWrongError,
    Outcome,
    chosen_phases,
    clinical_columns,
    external_centers,
    label_column,
    outcome,
    positive_values,
    withheld_values,
)
from pipelines.looking.columns import likely_label, own_values, positive_guess
from pipelines.looking.found import SeenColumn, shown_tally
from pipelines.looking.phases import SeenPhase
from pipelines.params import load_params
from pipelines.study import bring, check_free, init_study
from pipelines.workspace import Workspace

T = TypeVar("T")

_NONE = "none"
_EXTERNAL = re.compile(r"extern|valid|test|hold")
"""How a center's folder is called that is kept for validation."""


class StudyInsideDataError(InputError):
    """The study's folder would lie within the data that it links to."""

    default_remedy = "make the study in a folder outside the hospitals' data"


@dataclass(frozen=True, kw_only=True)
class Given:
    """What the command line said; the rest is asked for or taken from the proposal."""

    data: Path | None = None
    copy: bool = False
    external: tuple[str, ...] = ()
    phases: tuple[str, ...] = ()
    label: str | None = None
    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    clinical: tuple[str, ...] = ()
    roi: str | None = None
    observer: str | None = None


def is_terminal() -> bool:
    """Returns whether somebody can be asked."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def begin(folder: Path, given: Given, *, asking: bool) -> Workspace | None:
    """Looks at the centers' folders and makes a study of what it saw and was told; none when there are no data yet.

    Args:
        folder: Where the study will be.
        given: What the command line said.
        asking: Whether what it did not say is asked for; else the proposal is taken, and a label must be named.

    Raises:
        InputError: There is nothing to look at, or an answer is missing or does not fit; nothing was written.
    """
    check_free(folder)
    source = given.data or _ask_where(folder)
    if source is None:
        return None
    own_raw = folder / "data" / "raw"
    lies_here = source.resolve() == own_raw.resolve()
    if not lies_here and folder.resolve().is_relative_to(source.resolve()):
        raise StudyInsideDataError("the study would lie inside the data", where=folder.name)
    proposal = propose([look_at_center(n, path, TerminalProgress()) for n, path in find_centers(source).items()])
    _show(proposal)
    choices = _choose(folder, proposal, given, asking=asking, own_raw=own_raw if lies_here else None)
    copy = not lies_here and (given.copy or (asking and _ask_copy()))
    if asking and not click.confirm(f"Write these settings to {folder / 'params.yaml'}?", default=True):
        raise click.Abort
    workspace = init_study(folder, "own.yaml", choices.write)
    if not lies_here:
        bring({c.name: c.folder for c in proposal.centers}, workspace, copy=copy, progress=TerminalProgress())
    load_params(workspace.params)
    return workspace


def _choose(folder: Path, proposal: Proposal, given: Given, *, asking: bool, own_raw: Path | None) -> Choices:
    external = _external(proposal, given, asking=asking)
    phases = _phases(proposal, given, asking=asking)
    result = _outcome(proposal, given, asking=asking)
    clinical = _clinical(proposal, result.column.name, given, asking=asking)
    folders = {center.name: _kept_folder(center.name, center.folder, own_raw) for center in proposal.centers}
    columns = {c.name: c.table.patient_column for c in proposal.centers if c.table and c.table.patient_column}
    choices = Choices(
        name=folder.resolve().name,
        development={name: path for name, path in folders.items() if name not in external},
        external={name: folders[name] for name in external},
        own_columns={name: column for name, column in columns.items() if column.casefold() != "patient_id"},
        phases=tuple(phases),
        label=result.column.name,
        positive=result.positive,
        negative=result.negative,
        n_fewest=result.n_fewest,
        has_dicom=any(image.form == "dicom" for center in proposal.centers for image in center.images),
        clinical=tuple(clinical),
        n_tables=proposal.n_tables,
        roi_pattern=_roi(proposal, given, asking=asking),
        roi_label=proposal.roi_label,
        observer=_observer(proposal, given, asking=asking),
    )
    _tell(proposal, choices, result)
    return choices


def _kept_folder(name: str, folder: Path, own_raw: Path | None) -> str:
    """Returns the folder to name in the settings, where a center that lies in the study is not called as its folder."""
    if own_raw is None or (folder.name == name and folder.parent.resolve() == own_raw.resolve()):
        return ""
    return (Path("data") / "raw" / folder.resolve().relative_to(own_raw.resolve())).as_posix()


def _show(proposal: Proposal) -> None:
    print_table("Centers", proposal.center_rows())
    click.echo()
    print_table("Phases, as they would be recognized", proposal.phase_rows())
    click.echo()
    print_table("Regions, as outlined", proposal.region_rows())
    for remark in proposal.remarks():
        click.echo(f"- {remark}")
    click.echo()


def _late(proposal: Proposal, choices: Choices) -> list[str]:
    """Returns the columns that seem to tell of what came after the images; a model on them would foretell the past."""
    used = {choices.label, *(column.name for column in choices.clinical)}
    return [column.name for column in proposal.columns if column.is_late and column.name not in used]


def _tell(proposal: Proposal, choices: Choices, result: Outcome) -> None:
    def counted(values: Sequence[str]) -> str:
        return shown_tally(type(result.column.values)({value: result.column.values[value] for value in values}))

    click.echo()
    print_facts(
        {
            "development": ", ".join(choices.development),
            "external": ", ".join(choices.external) or "none: nothing can be promoted without an override",
            "phases": "; ".join(f"{phase.name} {phase.pattern}" for phase in choices.phases),
            "label": f"{result.column.name}: positive {counted(result.positive)}; negative {counted(result.negative)}",
            "clinical columns": ", ".join(map(_declared, choices.clinical)) or "none",
            "tell of later, not read": ", ".join(_late(proposal, choices)) or "–",
            "region": f"{choices.roi_pattern}, mask value {choices.roi_label}",
            "outlines of": choices.observer,
        }
    )
    click.echo()


def _declared(column: SeenColumn) -> str:
    """Returns a clinical column's name, with how many of its values are not listed in the settings."""
    n = len(set(column.values) - set(own_values(column))) if column.kind == "category" else 0
    return f"{column.name} ({n} values of few patients left out)" if n else column.name


def _external(proposal: Proposal, given: Given, *, asking: bool) -> list[str]:
    if given.external or not asking:
        return external_centers(proposal, given.external)
    if len(proposal.centers) == 1:
        click.echo(f"{proposal.centers[0].name} is the only center, so none can be external: models are made in it.")
        return []
    likely = [center.name for center in proposal.centers if _EXTERNAL.search(center.name)]
    default = ", ".join(likely) if 0 < len(likely) < len(proposal.centers) else _NONE
    text = f"External centers, sealed for validation (names with commas; {_NONE})"
    return _asked(text, default, lambda answer: external_centers(proposal, _none_or_names(answer)))


def _phases(proposal: Proposal, given: Given, *, asking: bool) -> list[SeenPhase]:
    proposed = [phase.name for phase in proposal.phases]
    if given.phases or not asking:
        return chosen_phases(proposal, given.phases or proposed)
    text = "Phases (names with commas; NAME=PATTERN for a pattern of your own)"
    return _asked(text, ", ".join(proposed), lambda answer: chosen_phases(proposal, _split(answer)))


def _outcome(proposal: Proposal, given: Given, *, asking: bool) -> Outcome:
    if given.label is not None or not asking:
        column = label_column(proposal, given.label)
    else:
        print_table("Columns that may be the label", proposal.column_rows([c.name for c in proposal.labels]))
        column = _asked("Label column", likely_label(proposal.labels), lambda answer: label_column(proposal, answer))
    if not asking:
        return outcome(column, given.positive, given.negative)
    positive = given.positive or _asked(
        f"Positive values of {column.name} (with commas), of {shown_tally(column.values)}",
        ", ".join(positive_guess(column)) or None,
        lambda answer: tuple(positive_values(column, _split(answer))),
    )
    if given.negative or not withheld_values(column, positive):
        return outcome(column, positive, given.negative)
    click.echo("Values that only one or two patients have are not shown; look them up in clinical.csv.")
    text = "Negative values (with commas)"
    return _asked(text, None, lambda answer: outcome(column, positive, _split(answer)))


def _clinical(proposal: Proposal, label: str, given: Given, *, asking: bool) -> list[SeenColumn]:
    if given.clinical:
        names = [] if given.clinical == ("none",) else list(given.clinical)
        return clinical_columns(proposal, label, names)
    proposed = clinical_columns(proposal, label, None)
    if not asking or not proposal.columns:
        return proposed
    names = [column.name for column in proposed]
    print_table("Clinical columns that seem known before the outcome", proposal.column_rows(names))
    text = f"Clinical columns to read (with commas; {_NONE})"
    return _asked(
        text, ", ".join(names) or _NONE, lambda answer: clinical_columns(proposal, label, _none_or_names(answer))
    )


def _roi(proposal: Proposal, given: Given, *, asking: bool) -> str:
    has_names = any(center.regions for center in proposal.centers)
    if given.roi is not None or not asking or not has_names:
        return _pattern(given.roi or proposal.roi_pattern)
    return _asked("Region: regular expression on its names", proposal.roi_pattern, _pattern)


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise AnswerWrongError(f"not a regular expression: {error}") from error
    return text


def _observer(proposal: Proposal, given: Given, *, asking: bool) -> str:
    known = [*proposal.observers, "majority", "staple"]

    def checked(answer: str) -> str:
        if answer not in known:
            raise AnswerWrongError(f"there is no observer {answer!r} ({', '.join(known)})")
        return answer

    if given.observer is not None or not asking or not proposal.observers:
        return checked(given.observer or "majority")
    return _asked(f"Whose outlines ({', '.join(known)})", "majority", checked)


def _ask_where(folder: Path) -> Path | None:
    raw = folder / "data" / "raw"
    default = str(raw) if raw.is_dir() and any(raw.iterdir()) else ""

    def checked(answer: str) -> Path | None:
        path = Path(answer.strip()).expanduser()
        if answer.strip() and not path.is_dir():
            raise AnswerWrongError(f"there is no folder {path}")
        return path if answer.strip() else None

    click.echo("Where do the data lie? A folder with one sub-folder a center, or the folder of a single center.")
    click.echo("Nothing is written before you have seen what would be. Ctrl-C stops.")
    return _asked("Folder (empty: not here yet)", default, checked)


def _ask_copy() -> bool:
    click.echo("Hospitals' files can stay where they are: data/raw gets a link to each center's folder.")
    return click.prompt("Link or copy", default="link", type=click.Choice(["link", "copy"])) == "copy"


def _none_or_names(answer: str) -> list[str]:
    return [] if answer.strip().casefold() == _NONE else _split(answer)


def _split(answer: str) -> list[str]:
    return [part.strip() for part in answer.split(",") if part.strip()]


def _asked(text: str, default: str | None, checked: Callable[[str], T]) -> T:
    """Asks until the answer fits; what is wrong with one is said."""

    def value(answer: str) -> T:
        try:
            return checked(answer)
        except InputError as error:
            raise click.UsageError(error.what) from error

    answer: T = click.prompt(text, default=default, show_default=bool(default), value_proc=value)
    return answer
