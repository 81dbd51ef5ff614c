"""A scoring run with all that is told of it: its record, the webhook and the metrics file.

None of the three can make a run fail; what could not be told stands in the record.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from pipelines.params import Operation, load_operation
from pipelines.params.operation import ScoringSection
from pipelines.scoring.metrics_file import exposition, write_metrics
from pipelines.scoring.runs import Run, RunRecord, append_record, marked_run, recent_runs
from pipelines.scoring.webhook import Webhook
from pipelines.workspace import Workspace

FAILED = "failed: "


class AnnouncedRun:
    """A run with the settings it works under.

    Args:
        run: The run.
        operation: The settings.
        webhook: Where it is told.
    """

    def __init__(self, run: Run, operation: Operation, webhook: Webhook | None) -> None:
        self.run = run
        self.operation = operation
        self.webhook = webhook
        self.record: RunRecord = run.record


@contextmanager
def announced_run(workspace: Workspace) -> Iterator[AnnouncedRun]:
    """Yields a run; when the block ends, well or not, the run is told and its line is written.

    Raises:
        ParamsError: The settings cannot be used; this too is recorded.
        WebhookError: `scoring.webhook` cannot be called; this too is recorded.
    """
    with marked_run(workspace) as run:
        announced: AnnouncedRun | None = None
        error: BaseException | None = None
        try:
            operation = load_operation(workspace.params)
            announced = AnnouncedRun(run, operation, Webhook.of(operation.scoring.webhook, workspace.root))
            yield announced
        except BaseException as raised:
            error = raised
            raise
        finally:
            record = run.ended(error)
            if announced is not None:
                record = told(workspace, announced.operation.scoring, announced.webhook, record)
                announced.record = record
            append_record(workspace, record)


def told(workspace: Workspace, scoring: ScoringSection, webhook: Webhook | None, record: RunRecord) -> RunRecord:
    """Tells a run to all who are to know, and returns its record with what became of it."""
    answers = {}
    if scoring.prometheus:
        answers["prometheus"] = _measured(workspace, scoring.prometheus, record)
    if webhook is not None:
        answers["webhook"] = webhook.tell({"study": workspace.root.name, **record.plain()})
    return replace(record, told=answers)


def untold(record: RunRecord) -> list[str]:
    """Returns what could not be told, and what to do, for people."""
    remedies = {
        "webhook": "the run itself is done; check scoring.webhook and whether its server is up",
        "prometheus": "the run itself is done; check scoring.prometheus and whether radmill may write there",
    }
    return [
        f"{name} {text}\n  remedy: {remedies[name]}" for name, text in record.told.items() if text.startswith(FAILED)
    ]


def _measured(workspace: Workspace, file: str, record: RunRecord) -> str:
    path = Path(file)
    try:
        text = exposition(workspace.root.name, [*recent_runs(workspace), record])
        write_metrics(path if path.is_absolute() else workspace.root / path, text)
    except OSError as error:
        return f"{FAILED}{error.strerror or type(error).__name__}"
    return "written"
