"""Model cards as files: one a registered version, written anew when anything it tells has changed."""

from pathlib import Path
from typing import Any

from featurestore.files import write_text
from featurestore.fingerprints import digest
from pipelines.params import Params
from pipelines.workspace import Workspace
from registry.card import Standing, version_card
from registry.errors import PackageAbsentError
from registry.gates import external_centers
from registry.lifecycle import Registry
from registry.states import ModelVersion

_MARK = "<!-- {} -->"


def write_cards(workspace: Workspace, params: Params) -> list[Path]:
    """Writes `reports/cards/version-<n>.md` of every version whose card is not as the ledger is.

    Returns:
        The cards that were written. A version whose package is not on this machine keeps the card it has.
    """
    registry = Registry(workspace.root)
    written = []
    state = registry.state()
    for version in state.versions.values():
        path = workspace.reports / "cards" / f"version-{version.number}.md"
        mark = _MARK.format(_told(version, state.reads, params.registry.intended_use))
        if path.is_file() and path.read_text(encoding="utf-8").startswith(mark):
            continue
        try:
            package = registry.package(version)
        except PackageAbsentError:
            continue
        evidence, verdicts = registry.evidence(version), _verdicts(registry, version)
        own = {name: state.reads.get(name, 0) for name in external_centers(evidence)}
        standing = Standing(verdicts=verdicts, reads=own)
        text = version_card(version, package, evidence, params.registry.intended_use, standing)
        write_text(path, f"{mark}\n{text}")
        written.append(path)
    return written


def _told(version: ModelVersion, reads: dict[str, int], intended_use: str) -> str:
    """Returns a hash of all that may change in a card."""
    events = [event.hash for event in version.history]
    standing = [version.state, version.withdrawn, list(version.aliases), list(version.overrides)]
    return digest({"events": events, "standing": standing, "reads": reads, "use": intended_use})


def _verdicts(registry: Registry, version: ModelVersion) -> list[dict[str, Any]]:
    """Returns the gates' latest verdicts on a version."""
    judged = [event for event in version.history if event.verb in ("promote", "refuse") and event.evidence]
    return list(registry.read_evidence(judged[-1].evidence).get("gates", [])) if judged else []
