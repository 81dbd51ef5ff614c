"""The pages of incoming hospitals: one each, and one over all; made again only when something on them changed."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featurestore.files import sweep
from featurestore.fingerprints import digest, file_digest
from pipelines.params import load_operation
from pipelines.params.operation import ScoringSection
from pipelines.record import installed
from pipelines.reporting import hospital_sections as sections
from pipelines.reporting.hospital_files import HospitalFiles, Reader, centers_known, files_of
from pipelines.reporting.hospital_index import index_content
from pipelines.reporting.hospital_pictures import examples
from pipelines.reporting.pages import write_page
from pipelines.scoring.in_force import InForce, versions_in_force
from pipelines.scoring.places import Deployment
from pipelines.scoring.runs import recent_runs, runs_path
from pipelines.workspace import Workspace
from registry.lifecycle import Registry

SECTIONS = {
    "glance": "At a glance",
    "flow": "Cohort flow",
    "scores": "Scores",
    "cases": "Cases to look at",
    "drift": "Drift",
    "doubt": "Doubt",
    "performance": "Performance",
    "shadow": "In shadow",
    "history": "Runs",
    "provenance": "Provenance",
}
FOLDER = "pages"
HEAD_BYTES = 2048
_MARK = re.compile(r'name="made-from" content="([0-9a-f]{64})"')


@dataclass(frozen=True, kw_only=True)
class PagesSummary:
    """What was made.

    Args:
        index: The page over all hospitals, relative to the study.
        written: Names of the pages that were written.
        kept: How many pages were as they should be.
    """

    index: str
    written: tuple[str, ...]
    kept: int


def hospital_pages(workspace: Workspace, scoring: ScoringSection, *, anew: bool = False) -> PagesSummary:
    """Makes `deployment/pages/`: a page a hospital and `index.html`, from the files that scoring left.

    Args:
        workspace: The study.
        scoring: The settings that say what is shown.
        anew: Makes all pages, whatever changed.

    Raises:
        NoChampionError: No version was promoted.
        PackageAbsentError: The champion's package is not on this machine.
    """
    deployment, force = Deployment(workspace), versions_in_force(Registry(workspace.root))
    withdrawn = tuple(load_operation(workspace.params).cohort.withdrawn)
    reader = Reader(deployment, force, scoring, withdrawn, recent_runs(workspace))
    folder = workspace.deployment / FOLDER
    centers = centers_known(deployment)
    marks = {center: _mark(reader, center) for center in centers}
    changed = [center for center in centers if anew or _known(folder / f"{center}.html") != marks[center]]
    for center in changed:
        files = reader.hospital(center, runs_path(workspace))
        content = page_content(files, workspace.root.name) | {"made_from": marks[center]}
        write_page(folder / f"{center}.html", "hospital.html", content)
    mark = digest({"centers": marks, "summaries": _summaries(deployment), "release": _release()})
    index = folder / "index.html"
    written = [f"{center}.html" for center in changed]
    if anew or _known(index) != mark:
        content = index_content(reader, centers, workspace.root.name) | {"made_from": mark, "release": _release()}
        write_page(index, "hospitals.html", content)
        written.append(index.name)
    sweep(folder, {index, *(folder / f"{center}.html" for center in centers)})
    kept = len(centers) + 1 - len(written)
    return PagesSummary(index=index.relative_to(workspace.root).as_posix(), written=tuple(written), kept=kept)


def page_content(files: HospitalFiles, study: str) -> dict[str, Any]:
    """Returns everything that the template `hospital.html` names."""
    content: dict[str, Any] = {
        "title": f"{files.center}: scores of {study}",
        "study": study,
        "center": files.center,
        "release": _release(),
        "champion": files.champion,
        "headline": sections.headline(files),
        "flow": sections.flow_content(files),
        "scores": sections.score_content(files),
        "examples": examples(files),
        "drift": sections.drift_content(files),
        "doubt": sections.doubt_content(files),
        "performance": sections.performance_content(files),
        "shadow": sections.shadow_content(files),
        "history": sections.history_content(files),
        "facts": _facts(files),
    }
    shown = {name for name in SECTIONS if name not in ("cases", "shadow")}
    shown |= {"cases"} if content["examples"] else set()
    shown |= {"shadow"} if content["shadow"] else set()
    content["sections"] = _toc(shown)
    return content


def _toc(shown: Collection[str]) -> list[dict[str, str]]:
    return [{"id": name, "title": title} for name, title in SECTIONS.items() if name in shown]


def _facts(files: HospitalFiles) -> list[dict[str, object]]:
    own, doubt = files.champion, files.scoring.doubt
    manifest = own.package.manifest
    found = [
        ("Champion", f"version {own.version.number} ({own.version.model})", False),
        ("Its package", own.package.digest, True),
        ("Feature set", str(manifest.get("feature_set", "–")), False),
        ("Settings fingerprint", str(manifest.get("extraction", {}).get("fingerprint", "–")), True),
        ("Intended use", str(manifest.get("intended_use", "")), False),
        ("Doubt", f"policy {doubt.policy}, error rate {doubt.alpha:g}", False),
        ("Drift", f"error rate {files.scoring.drift.alpha:g} over all looks", False),
    ]
    return [{"name": name, "value": value, "is_code": is_code} for name, value, is_code in found if value]


def _mark(reader: Reader, center: str) -> str:
    """Returns a hash of all that a hospital's page depends on, but for the times of runs that changed nothing."""
    files = {name: "" if path is None else file_digest(path) for name, path in files_of(reader.deployment, center)}
    force = [_version(own) for own in (reader.force.champion, *reader.force.shadow)]
    told = reader.told(center)
    settings: Mapping[str, Any] = reader.scoring.model_dump(mode="json", exclude={"webhook", "prometheus", "quiet_s"})
    return digest(
        {
            "files": files,
            "force": force,
            "told": [told.scored, told.positive, told.waiting, dict(told.refused), told.problem, list(told.alarms)],
            "is_here": (reader.deployment.workspace.incoming / center).is_dir(),
            "settings": settings,
            "withdrawn": sorted(reader.withdrawn),
            "release": _release(),
        }
    )


def _version(own: InForce) -> list[object]:
    return [own.version.number, own.version.model, own.role, own.package.digest]


def _summaries(deployment: Deployment) -> dict[str, str]:
    return {path.name: file_digest(path) for path in sorted(deployment.summaries.glob("*.json"))}


def _known(page: Path) -> str:
    """Returns what a page was made from; nothing where there is none."""
    if not page.is_file():
        return ""
    with page.open("rb") as file:
        found = _MARK.search(file.read(HEAD_BYTES).decode("utf-8", "replace"))
    return found.group(1) if found else ""


def _release() -> str:
    return installed("radmill")["radmill"]
