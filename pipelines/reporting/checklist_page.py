"""The page of the reporting checklists, and what other pages say of them."""

from typing import Any

from featurestore.files import write_json
from pipelines.params import Params
from pipelines.params.statements import STATEMENTS
from pipelines.record import installed
from pipelines.reporting.checklist_records import Records
from pipelines.reporting.checklists import OPEN, STATUSES, Answer, Filled, asked, fill, plain
from pipelines.reporting.pages import write_page
from pipelines.reporting.study_files import StudyFiles
from pipelines.workspace import Workspace

WORDS = {
    "reported": "reported",
    "not_done": "not done",
    "partly": "partly",
    "missing": "missing",
    "not_applicable": "not applicable",
}


def write_checklists(workspace: Workspace, params: Params, files: StudyFiles) -> dict[str, Any]:
    """Writes `reports/checklists.html` and `.json`, and returns what the study page shows of them."""
    filled = fill(Records(workspace, params, files))
    write_json(workspace.reports / "checklists.json", plain(filled))
    content = [_content(one) for one in filled.values()]
    lacking = {key for one in filled.values() for answer in one.answers for key in answer.lacking}
    write_page(
        workspace.reports / "checklists.html",
        "checklists.html",
        {
            "title": f"{params.study.name}: reporting checklists",
            "study": params.study.name,
            "release": installed("radmill")["radmill"],
            "sections": [
                {"id": "overview", "title": "Overview"},
                {"id": "statements", "title": "What to state"},
                *({"id": one["name"], "title": one["title"]} for one in content),
            ],
            "checklists": content,
            "statuses": STATUSES,
            "words": WORDS,
            "asked": {key: meaning for key, meaning in STATEMENTS.items() if f"@{key}" in lacking},
        },
    )
    return {"checklists": content, "checklist_words": WORDS}


def _content(filled: Filled) -> dict[str, Any]:
    own = filled.checklist
    return {
        "name": own.name,
        "title": own.title,
        "about": own.about,
        "source": own.source,
        "doi": own.doi,
        "notes": own.notes,
        "has_scope": any(item.scope for item in own.items),
        "conditions": [_condition(answer) for answer in filled.conditions.values()],
        "counts": filled.counts,
        "is_complete": filled.is_complete,
        "score": filled.score,
        "reachable": filled.reachable,
        "grade": filled.grade,
        "answers": [_answer(answer) for answer in filled.answers],
    }


def _answer(answer: Answer) -> dict[str, Any]:
    item = answer.item
    return {
        **{name: getattr(item, name) for name in ("number", "section", "text", "scope", "weight", "is_essential")},
        "status": answer.status,
        "is_open": answer.status in OPEN,
        "found": answer.found,
        "lacking": [asked(lacking) for lacking in answer.lacking],
    }


def _condition(answer: Answer) -> dict[str, str]:
    verdict = "not stated, so its items count"
    if answer.found:
        verdict = "no" if any(not part.is_done for part in answer.found) else "yes"
    return {"text": answer.item.text, "verdict": verdict, "value": "; ".join(part.value for part in answer.found)}
