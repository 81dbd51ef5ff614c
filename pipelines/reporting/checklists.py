"""Reporting checklists filled from the records: what is answered by which record, what a person must still state.

An item is `reported` when everything it needs is there, `not_done` when a record says that the thing was not done,
`partly` when something is still lacking, `missing` when all is, and `not_applicable` when a condition or a person says
so. Nothing is answered without a record or a statement.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

from pipelines.params.statements import STATEMENTS
from pipelines.reporting.checklist_data_rules import DATA_RULES
from pipelines.reporting.checklist_model_rules import MODEL_RULES
from pipelines.reporting.checklist_records import Evidence, Records, Rule
from pipelines.reporting.checklist_test_rules import TEST_RULES

Status = Literal["reported", "not_done", "partly", "missing", "not_applicable"]
STATUSES: tuple[Status, ...] = ("reported", "not_done", "partly", "missing", "not_applicable")
OPEN: tuple[Status, ...] = ("partly", "missing")
CHECKLISTS = ("clear", "tripod_ai", "metrics")
RULES: dict[str, Rule] = {**DATA_RULES, **MODEL_RULES, **TEST_RULES}

_NO = re.compile(r"(no|none|not|never|nobody)\b", re.IGNORECASE)
_DOES_NOT_APPLY = re.compile(r"(n/?a|not applicable)\b", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Item:
    """One line of a checklist.

    Args:
        number: As published.
        section: Where it belongs in a paper.
        text: What it asks, in our words.
        need: What must be there, each line a choice of records and statements.
        scope: Whether it is about development (D), evaluation (E) or both.
        weight: Its share of a score.
        conditions: What must hold for it to apply.
        is_essential: Whether a complete checklist needs it.
    """

    number: str
    section: str
    text: str
    need: tuple[str, ...]
    scope: str = ""
    weight: float = 0.0
    conditions: tuple[str, ...] = ()
    is_essential: bool = True


@dataclass(frozen=True, kw_only=True)
class Checklist:
    """A published checklist."""

    name: str
    title: str
    about: str
    source: str
    doi: str
    is_scored: bool
    notes: tuple[str, ...]
    items: tuple[Item, ...]
    conditions: Mapping[str, Item]
    grades: tuple[tuple[float, str], ...]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """How an item stands.

    Args:
        item: The item.
        status: Its state.
        found: What answers it.
        lacking: The statements, or else the records, that would complete it.
    """

    item: Item
    status: Status
    found: tuple[Evidence, ...]
    lacking: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Filled:
    """A checklist with its answers.

    Args:
        checklist: The checklist.
        answers: In the order of its items.
        conditions: Its conditions, answered.
        score: Percent of the weight that applies, counting what is open as not done; none without weights.
        reachable: The same if everything open were stated and done.
    """

    checklist: Checklist
    answers: tuple[Answer, ...]
    conditions: Mapping[str, Answer]
    score: float | None
    reachable: float | None

    @property
    def is_complete(self) -> bool:
        """Whether no essential item is open."""
        return not any(answer.status in OPEN and answer.item.is_essential for answer in self.answers)

    @property
    def counts(self) -> dict[str, int]:
        """How many items are in each state."""
        found = Counter(answer.status for answer in self.answers)
        return {status: found[status] for status in STATUSES}

    @property
    def grade(self) -> str:
        """What a score is called."""
        names = [name for start, name in self.checklist.grades if self.score is not None and self.score >= start]
        return names[-1] if names else ""

    def summary(self) -> dict[str, Any]:
        """Returns counts and verdict as JSON types."""
        told: dict[str, Any] = {"items": len(self.answers), **self.counts, "is_complete": self.is_complete}
        if self.score is not None and self.reachable is not None:
            told |= {"score": round(self.score, 2), "reachable": round(self.reachable, 2), "grade": self.grade}
        return told


@cache
def load_checklist(name: str) -> Checklist:
    """Reads one of `CHECKLISTS`."""
    path = Path(__file__).parent / "checklists" / f"{name}.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    conditions = {key: _item(key, value) for key, value in content.get("conditions", {}).items()}
    return Checklist(
        **{key: content[key] for key in ("name", "title", "about", "source", "doi", "is_scored")},
        notes=tuple(content["notes"]),
        items=tuple(_item(item["number"], item) for item in content["items"]),
        conditions=conditions,
        grades=tuple((float(grade["from"]), grade["name"]) for grade in content.get("grades", [])),
    )


def fill(records: Records) -> dict[str, Filled]:
    """Answers all checklists; each rule is asked once."""
    statements = records.params.study.statements
    answers = {name: rule(records) for name, rule in RULES.items()}
    return {name: _fill(load_checklist(name), answers, statements) for name in CHECKLISTS}


def plain(filled: Mapping[str, Filled]) -> dict[str, Any]:
    """Returns filled checklists as JSON types: what `reports/checklists.json` holds."""
    return {
        name: {
            **one.summary(),
            "answers": {
                answer.item.number: {
                    "status": answer.status,
                    "found": [{"record": part.record, "value": part.value} for part in answer.found],
                    "lacking": list(answer.lacking),
                }
                for answer in one.answers
            },
        }
        for name, one in filled.items()
    }


def _item(number: str, content: Mapping[str, Any]) -> Item:
    return Item(
        number=number,
        section=content.get("section", ""),
        text=content["text"],
        need=tuple(content["need"]),
        scope=content.get("scope", ""),
        weight=float(content.get("weight", 0)),
        conditions=tuple(content.get("if", ())),
        is_essential=content.get("is_essential", True),
    )


Found = Mapping[str, Evidence | None]


def _fill(checklist: Checklist, found: Found, statements: Mapping[str, str]) -> Filled:
    conditions = {name: _answer(item, found, statements) for name, item in checklist.conditions.items()}
    fails = {name for name, answer in conditions.items() if any(not part.is_done for part in answer.found)}
    answers = tuple(
        _without(item) if fails & set(item.conditions) else _answer(item, found, statements) for item in checklist.items
    )
    score = reachable = None
    if checklist.is_scored:
        score = _score(answers, ("reported",))
        reachable = _score(answers, ("reported", *OPEN))
    return Filled(checklist=checklist, answers=answers, conditions=conditions, score=score, reachable=reachable)


def _without(item: Item) -> Answer:
    return Answer(item=item, status="not_applicable", found=(), lacking=())


def _score(answers: tuple[Answer, ...], done: tuple[str, ...]) -> float:
    applies = [answer for answer in answers if answer.status != "not_applicable"]
    whole = sum(answer.item.weight for answer in applies)
    return 100 * sum(answer.item.weight for answer in applies if answer.status in done) / whole if whole else 0.0


def _answer(item: Item, found: Found, statements: Mapping[str, str]) -> Answer:
    parts: list[Evidence] = []
    lacking: list[str] = []
    for need in item.need:
        choices = need.split("|")
        answers = [answer for choice in choices if (answer := _one(choice, found, statements)) is not None]
        best = next((answer for answer in answers if answer.is_done), answers[0] if answers else None)
        if best is not None:
            parts.append(best)
        if best is None:
            keys = [choice for choice in choices if choice.startswith("@")]
            lacking.append((keys or choices)[0])
    return Answer(item=item, status=_status(item, parts, lacking), found=tuple(parts), lacking=tuple(lacking))


def _status(item: Item, parts: list[Evidence], lacking: list[str]) -> Status:
    if any(_DOES_NOT_APPLY.match(part.value) for part in parts if part.record.startswith("params.yaml: study")):
        return "not_applicable"
    if lacking:
        return "partly" if parts else "missing"
    is_said = item.weight == 0  # a report that says "none" is complete; a score asks whether it was done
    undone = [part for part in parts if not part.is_done and not (is_said and _is_statement(part))]
    return "not_done" if undone else "reported"


def _is_statement(part: Evidence) -> bool:
    return part.record.startswith("params.yaml: study.statements")


def _one(choice: str, found: Found, statements: Mapping[str, str]) -> Evidence | None:
    if not choice.startswith("@"):
        return found[choice]
    key = choice[1:]
    text = statements.get(key, "").strip()
    if not text:
        return None
    is_no = bool(_NO.match(text)) and not _DOES_NOT_APPLY.match(text)
    return Evidence(record=f"params.yaml: study.statements.{key}", value=text, is_done=not is_no)


def asked(lacking: str) -> str:
    """Returns what would complete an item, in words."""
    if lacking.startswith("@"):
        return f"state study.statements.{lacking[1:]}: {STATEMENTS[lacking[1:]]}"
    told = (RULES[lacking].__doc__ or "").strip().split("\n")[0].rstrip(".")
    return f"no record yet: {told[:1].lower()}{told[1:]}"
