"""What a case costs beyond extraction: 1,000 cases of a hospital that sends a table, in one run and bit by bit.

Everything that a scoring run does is in it: reading and checking, ledger and package, history, drift, doubt and tables.
Features come ready, so nothing is extracted. What a case costs with its images, and what it costs to start the command,
is measured beside it; so are the hospitals' pages, which the command makes after scoring.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import SimpleITK as sitk
from extraction_cases import content_of
from extraction_cases import images as chest_and_ball
from scoring_population import SEED, Floats, fit, population, training_set

from featurestore.fingerprints import digest
from pipelines.params.operation import ScoringSection
from pipelines.radiomics.settings import ExtractionSettings
from pipelines.record import FEATURE_SET
from pipelines.reporting.hospital import hospital_pages
from registry.package import ModelPackage, save_package
from tests.conftest import ROOT, Candidates
from tests.hospital_study import SmallStudy, small_study, write_clinical

DEVELOPMENT, CASES, RUNS, FEATURES = 400, 1_000, 100, 200
VIEW, CENTER = "captk", "harbor"
SLICES, VOXELS, SCANS, MARGIN_MM = 100, 20_000, 4, 72.0


def package(study: SmallStudy) -> ModelPackage:
    """Puts a logistic regression on `FEATURES` features of a table into force."""
    people = population()
    rows = np.random.default_rng(SEED).permutation(len(people.y))[:DEVELOPMENT]
    X = people.features(people.z[rows])[:, :FEATURES]
    made = fit(training_set(X, people.y[rows], people.names[:FEATURES], 0.25), "lr")
    told = {key: value for key, value in made.manifest.items() if key not in ("format", "files")}
    label = {"name": "label", "column": "label", "positive": ["1"], "negative": ["0"]}
    notes = {VIEW: {"version": "1", "settings": "{}"}}
    told |= {
        "service": {"name": VIEW, "view": VIEW, "phases": ["ct"], "columns": ".*"},
        "rules": {"phases": {}, "margin": {"mm": 0, "voxels": 0}, "label": label},
        "extraction": {"engine": "imported", "by_phase": {}, "fingerprint": digest("x"), "notes": notes},
        "feature_set": FEATURE_SET,
    }
    candidates, training = Candidates(), study.root / "data" / "training" / VIEW
    told["training_set"] = candidates.training_set(training)
    folder = study.root / "data" / "models" / "table" / "package"
    save_package(folder, told, dict(made.arrays), made.golden, made.card)
    version = study.registry.register("table", folder, training, candidates.metrics(), "a benchmark")
    study.registry.promote(version.digest, {}, "a benchmark")
    return made


def send(study: SmallStudy, names: list[str], X: Floats) -> None:
    folder = study.workspace.incoming / CENTER
    folder.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame(X, columns=names).assign(patient_id=[f"P-{i:05d}" for i in range(len(X))])
    table.to_parquet(folder / f"{VIEW}.parquet", index=False)


def clocks() -> Floats:
    """Returns wall-clock and processor seconds, those of programs that were called included."""
    return np.array([time.perf_counter(), sum(os.times()[:4])])


def timed(study: SmallStudy) -> Floats:
    """Returns what scoring takes, and making the hospitals' pages, as the command does after it; by both clocks."""
    began = clocks()
    found = study.score()
    scored = clocks()
    hospital_pages(study.workspace, ScoringSection())
    seconds = np.array([scored - began, clocks() - scored])
    if not found.is_clean:
        raise RuntimeError(f"not all cases were scored: {found}")
    return seconds


def arrived(study: SmallStudy, names: list[str], X: Floats, runs: int) -> tuple[Floats, list[float]]:
    """Returns the seconds of each run, shape (runs, 2, 2), and all scores, sorted: pseudonyms are each study's own."""
    seconds = []
    for number in range(runs):
        send(study, names, X[: round((number + 1) * len(X) / runs)])
        seconds.append(timed(study))
    return np.array(seconds), sorted(study.history()["probability"].tolist())


PEAK = """import atexit, re, pathlib, sys
peak = lambda: re.search(r"VmHWM:\\s*(\\d+)", pathlib.Path("/proc/self/status").read_text())[1]
atexit.register(lambda: print(peak(), flush=True))
sys.argv = ["radmill", "score", "--quiet"]
from pipelines.cli import main
main()"""
"""Runs `radmill score` as a schedule does, and says last how much memory it held at most."""


def command(study: SmallStudy) -> dict[str, float]:
    """Returns the seconds of the command, and the peak of its memory."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    began = clocks()
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PEAK],
        cwd=study.root,
        env=env,
        check=True,
        capture_output=True,
        text=True,
    )
    return {**clocked(clocks() - began), "peak_mb": round(int(found.stdout.split()[-1]) / 1024)}


def with_images(root: Path) -> dict[str, Any]:
    """Returns what a case costs whose images come: reading, checking, cropping, 1,130 features, its score."""
    content = content_of("1130", "fast")
    settings = ExtractionSettings.from_mapping(content)
    extraction = {"engine": "fast", "by_phase": {"ct": settings.plain()}, "fingerprint": settings.fingerprint()}
    study = small_study(root / "images")
    study.promoted("images", margin_mm=MARGIN_MM, extraction=extraction)
    image, mask = chest_and_ball(root, SLICES, VOXELS)
    chest = sitk.GetArrayFromImage(sitk.ReadImage(str(image)))
    like = sitk.ReadImage(str(mask))
    seconds = {}
    for name, patients in (("first", [0]), ("others", range(1, 1 + SCANS)), ("none", ())):
        for number in patients:
            folder = study.workspace.incoming / CENTER / f"P-{number}"
            folder.mkdir(parents=True)
            scan = sitk.GetImageFromArray(np.roll(chest, number, axis=0))
            scan.CopyInformation(like)
            sitk.WriteImage(scan, str(folder / "ct.nii.gz"), useCompression=True)
            (folder / "ct_mask.nii.gz").write_bytes(mask.read_bytes())
        write_clinical(study.workspace.incoming / CENTER)
        seconds[name] = timed(study)
    a_case = (seconds["others"][0] - seconds["none"][0]) / SCANS
    return {"cases": SCANS, "slices": SLICES, "voxels": VOXELS, "features": 1130, "a_case": clocked(a_case)}


def clocked(seconds: Floats) -> dict[str, float]:
    return {"s": round(float(seconds[0]), 3), "cpu_s": round(float(seconds[1]), 3)}


def told(seconds: Floats) -> dict[str, dict[str, float]]:
    return {"scoring": clocked(seconds[0]), "pages": clocked(seconds[1])}


def cost(_draws: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        whole = small_study(root / "whole")
        names = [name.partition(".")[2] for name in package(whole).features]
        bits, process = whole.copy(root / "bits"), whole.copy(root / "process")
        people = population(SEED + 1, CASES)
        X = people.features(people.z)[:, :FEATURES]
        images = with_images(root)
        fixed = timed(whole)
        together, one = arrived(whole, names, X, 1)
        again = timed(whole)
        apart, other = arrived(bits, names, X, RUNS)
        idle = command(process)
        send(process, names, X)
        busy = command(process)
    return {
        "cases": CASES,
        "features": FEATURES,
        "runs": RUNS,
        "same_scores": one == other and len(one) == CASES,
        "one_run": told(together[0]),
        "all_runs": told(apart.sum(axis=0)),
        "first_run": told(apart[0]),
        "last_run": told(apart[-1]),
        "nobody_there": told(fixed),
        "nothing_new": told(again),
        "command": {"nobody_there": idle, "all_at_once": busy},
        "images": images,
    }
