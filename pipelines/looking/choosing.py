"""Answers to what a new study must know, checked against what was seen: given by a person, a flag, or the proposal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

from featurestore.errors import InputError
from pipelines.ingest.clinical_values import canonical
from pipelines.looking.columns import covariates, own_values, positive_guess
from pipelines.looking.found import SeenColumn, as_name, shown_tally
from pipelines.looking.phases import SeenPhase, tried
from pipelines.looking.proposing import Proposal
from pipelines.looking.telling import is_telling


class AnswerNeededError(InputError):
    """Something cannot be seen in the data, and there was nobody to ask."""

    default_remedy = "give the option, or run the command in a terminal, where it asks"


class AnswerWrongError(InputError):
    """An answer does not fit what lies in the folders."""

    default_remedy = "look at the tables above, and give another answer"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The label: its column, and which of its values are positive and negative."""

    column: SeenColumn
    positive: tuple[str, ...]
    negative: tuple[str, ...]

    @property
    def n_fewest(self) -> int:
        """Patients of the rarer of the two."""
        return min(sum(self.column.values[value] for value in values) for values in (self.positive, self.negative))


def external_centers(proposal: Proposal, names: Sequence[str]) -> list[str]:
    """Returns the centers that are kept for validation.

    Raises:
        AnswerWrongError: There is no such center, or none is left to make models in.
    """
    known = [center.name for center in proposal.centers]
    wanted = [as_name(name) for name in names]
    unknown = [name for name, own in zip(names, wanted, strict=True) if own not in known]
    if unknown:
        raise AnswerWrongError(f"there is no center {', '.join(unknown)} (there are {', '.join(known)})")
    if set(wanted) == set(known):
        raise AnswerWrongError("no center is left to make models in")
    return wanted


def chosen_phases(proposal: Proposal, answers: Sequence[str]) -> list[SeenPhase]:
    """Returns phases from answers like `arterial` (as proposed) or `arterial=(?i)art` (a pattern of one's own).

    Raises:
        AnswerWrongError: A phase without a pattern was not proposed, or a pattern is no regular expression.
        AnswerNeededError: There is no phase at all.
    """
    proposed = {phase.name: phase for phase in proposal.phases}
    chosen = []
    for answer in answers:
        name, has_pattern, pattern = answer.partition("=")
        name = as_name(name)
        if not has_pattern and name not in proposed:
            raise AnswerWrongError(f"phase {name!r} was not found ({', '.join(proposed) or 'none was'})")
        chosen.append(_with_pattern(proposed, name, pattern) if has_pattern else proposed[name])
    if not chosen:
        raise AnswerNeededError(
            "no phase was recognized", remedy="name them yourself: --phase NAME=PATTERN, once for each"
        )
    return [tried(phase, chosen, proposal.centers) for phase in chosen]


def _with_pattern(proposed: Mapping[str, SeenPhase], name: str, pattern: str) -> SeenPhase:
    from pydantic import ValidationError

    from pipelines.params.data import Phase

    try:
        Phase(series_description=pattern)
    except ValidationError as error:
        raise AnswerWrongError(f"the pattern of {name} is no regular expression") from error
    if not name:
        raise AnswerWrongError("a phase needs a name of letters and digits")
    return replace(proposed.get(name, SeenPhase(name=name, pattern=pattern)), pattern=pattern)


def label_column(proposal: Proposal, name: str | None) -> SeenColumn:
    """Returns the outcome's column.

    Raises:
        AnswerNeededError: None was named.
        AnswerWrongError: There is no such column in every table, or it has one value.
    """
    candidates = ", ".join(column.name for column in proposal.labels) or "none"
    if name is None:
        raise AnswerNeededError(
            "which column of clinical.csv is the label cannot be seen", remedy=f"--label COLUMN, one of: {candidates}"
        )
    column = proposal.column(name)
    if column is None:
        known = {column.name.casefold(): column.name for column in proposal.columns}
        alike = [known[one] for one in get_close_matches(name.casefold(), list(known), n=2)]
        meant = f"; is it {' or '.join(alike)}?" if alike else ""
        raise AnswerWrongError(f"no clinical.csv has the column {name!r}{meant} (with 2 to 6 values: {candidates})")
    _check_open(column)
    lacking = sorted({center.name for center in proposal.centers if center.table} - set(column.centers))
    if lacking:
        raise AnswerWrongError(f"clinical.csv of {', '.join(lacking)} has no column {column.name}")
    if len(column.values) < 2:
        raise AnswerWrongError(f"column {column.name} has the same value in all rows")
    return column


def outcome(column: SeenColumn, positive: Sequence[str], negative: Sequence[str] = ()) -> Outcome:
    """Returns the label with its values; those that are not named positive are negative.

    Raises:
        AnswerNeededError: No positive value was named and the column does not say which it is, or the others may name
            somebody.
        AnswerWrongError: A value does not occur, or none is left.
    """
    named = positive_values(column, positive)
    _check_occur(column, negative)
    if not negative and (n := len(withheld_values(column, named))):
        raise AnswerNeededError(
            f"{n} values of {column.name} have one or two patients each, and are not taken as negative unseen",
            remedy="name the negative ones: --negative VALUE, once for each; correct what is wrong in clinical.csv",
        )
    rest = [canonical(value) for value in negative] or sorted(set(column.values) - set(named))
    if not rest or set(rest) & set(named):
        raise AnswerWrongError("positive and negative must each have a value of their own")
    return Outcome(column=column, positive=tuple(named), negative=tuple(rest))


def positive_values(column: SeenColumn, answers: Sequence[str]) -> list[str]:
    """Returns the positive values of the label: the named ones, or those that plainly mean yes.

    Raises:
        AnswerNeededError: None was named, and the column does not say which it is.
        AnswerWrongError: One does not occur.
    """
    named = [canonical(value) for value in answers] or positive_guess(column)
    if not named:
        raise AnswerNeededError(
            f"which values of {column.name} are positive cannot be seen: {shown_tally(column.values)}",
            remedy="--positive VALUE, once for each",
        )
    _check_occur(column, named)
    return named


def withheld_values(column: SeenColumn, positive: Sequence[str]) -> list[str]:
    """Returns the other values that may name somebody; they go into settings only when a person names them."""
    return [value for value, n in column.values.items() if value not in positive and is_telling(value, n)]


def _check_occur(column: SeenColumn, values: Sequence[str]) -> None:
    absent = [value for value in map(canonical, values) if value not in column.values]
    if absent:
        told = f"{column.name} is nowhere {', '.join(map(repr, absent))}: it is {shown_tally(column.values)}"
        raise AnswerWrongError(told)


def _check_open(column: SeenColumn) -> None:
    if column.is_private:
        raise AnswerWrongError(
            f"column {column.name} looks like a name, an identifier or a date, so its values are not read out",
            remedy="name another; if it is none of these, declare it in params.yaml by hand",
        )


def clinical_columns(proposal: Proposal, label: str, names: Sequence[str] | None) -> list[SeenColumn]:
    """Returns the clinical columns to declare: the named ones, or those that seem worth it.

    Raises:
        AnswerWrongError: There is no such column, it is free text, a date or the label itself, or it may name somebody.
    """
    if names is None:
        return covariates(proposal.columns, label, proposal.centers)
    chosen = []
    for name in names:
        column = proposal.column(name)
        if column is None:
            raise AnswerWrongError(f"no clinical.csv has the column {name!r}")
        if column.kind in ("text", "date"):
            raise AnswerWrongError(
                f"column {column.name} is {'a date' if column.kind == 'date' else 'free text'}",
                remedy="leave it out here; kind: text can be declared in params.yaml, if it names nobody",
            )
        if column.name.casefold() == label.casefold():
            raise AnswerWrongError(f"{column.name} is the label itself")
        _check_open(column)
        if column.kind == "category" and len(own_values(column)) < 2:
            raise AnswerWrongError(f"column {column.name} has fewer than two values that three patients share")
        chosen.append(column)
    return chosen
