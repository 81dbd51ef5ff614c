"""The engine's formulas on volumes of a few hundred voxels: PyRadiomics's values and the consensus of the IBSI.

The same tests run compiled and, with `NUMBA_DISABLE_JIT=1`, as the plain Python they are written in: what is right only
because of a compiler's types would show, and a changed formula is noticed without compiling anything.
`benchmarks/formula_reference.py` writes the table.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import numba
import pandas as pd
import pytest
import SimpleITK as sitk

from pipelines.radiomics import FastEngine, ibsi
from pipelines.radiomics.agreement import disagreements
from tests.plain_kernels import plain_kernels
from tests.small_volumes import volume

HERE = Path(__file__).parent
CASES = json.loads((HERE / "formula_cases.json").read_text(encoding="utf-8"))
EXPLAINED = {"shape_LeastAxisLength", "shape_MinorAxisLength", "firstorder_Kurtosis"}


@pytest.fixture(scope="module", autouse=True)
def plain_where_nothing_is_compiled() -> Iterator[None]:
    with plain_kernels() if numba.config.DISABLE_JIT else nullcontext():
        yield


@pytest.fixture(scope="module")
def expected() -> dict[str, dict[str, float]]:
    table = pd.read_csv(HERE / "formula_reference.csv", float_precision="round_trip")
    return {case: dict(zip(rows["feature"], rows["value"], strict=True)) for case, rows in table.groupby("case")}


@pytest.mark.parametrize("case", CASES)
def test_small_volumes_equal_pyradiomics(expected: dict[str, dict[str, float]], case: str) -> None:
    found = FastEngine(CASES[case]["content"]).execute(*volume(CASES[case]["volume"]))
    assert not disagreements(expected[case], found)


@pytest.mark.parametrize("case", ["torn", "late, resampled", "late, resampled finer, linear", "late, precropped"])
def test_the_same_come_from_files(expected: dict[str, dict[str, float]], tmp_path: Path, case: str) -> None:
    """Of a file, only the part around the region is decoded."""
    paths = [tmp_path / f"{name}.nrrd" for name in ("image", "mask")]
    for path, picture in zip(paths, volume(CASES[case]["volume"]), strict=True):
        sitk.WriteImage(picture, str(path), useCompression=True)
    assert not disagreements(expected[case], FastEngine(CASES[case]["content"]).execute(*paths))


def test_another_label_and_diagnostics_are_asked_for_with_the_case(expected: dict[str, dict[str, float]]) -> None:
    """Diagnostics stand in front of the same features, as in PyRadiomics."""
    content = CASES["torn, other label"]["content"]
    engine = FastEngine({**content, "setting": {**content["setting"], "label": 1}})
    found = engine.execute(*volume("torn"), label=2, diagnostics=True)
    told = [name for name in found if name.startswith("diagnostics_")]
    assert told == list(found)[: len(told)] != []
    assert not disagreements(
        expected["torn, other label"], {name: value for name, value in found.items() if name not in told}
    )


def test_the_phantom_is_inside_the_consensus() -> None:
    rows = ibsi.compare(FastEngine(ibsi.SETTINGS).execute(*ibsi.phantom()), ibsi.references(), 8.0)
    assert {row.feature for row in rows if row.verdict != "inside"} == EXPLAINED
    assert not [row.feature for row in rows if row.verdict == "outside"]


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="this is the run without a compiler")
def test_the_same_values_come_without_a_compiler() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", __file__]
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(command, env=environment, cwd=HERE.parents[1], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    assert f"{len(CASES) + 6} passed" in done.stdout
