"""The other readers of the proof notice a mask, a cell or a setting that is not what was sent."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from pipelines.pairs import read_pair
from proofs.fuzz_base import AXIAL, TILTED, dicom_patient
from proofs.fuzz_cells import cells_of, settings_differences
from proofs.fuzz_named import NAMED, named
from proofs.fuzz_outlines import outline_differences, outline_seen
from proofs.fuzz_readers import seen_by_others


@pytest.mark.parametrize("kind", ["rtstruct", "seg"])
@pytest.mark.parametrize("orientation", [AXIAL, TILTED])
def test_a_mask_that_is_moved_by_one_voxel_is_noticed(
    tmp_path: Path, kind: str, orientation: tuple[float, ...]
) -> None:
    for name, data in dicom_patient("P", np.random.default_rng(3), kind, orientation).items():
        (tmp_path / name).write_bytes(data)
    path = tmp_path / ("RS" if kind == "rtstruct" else "SEG")
    _, mask = read_pair(tmp_path, path, "(?i)gtv")
    read = sitk.GetArrayFromImage(mask) > 0
    other = outline_seen(path, seen_by_others(tmp_path))
    assert outline_differences(other, read) == []
    for axis in range(3):
        assert "voxels of the mask differ" in outline_differences(other, np.roll(read, 1, axis))[0]


def test_cells_are_read_by_another_reader_whatever_they_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "table.csv"
    path.write_text('patient_id;age;sex\nA;"1,5";F\n\n;;\nB;=1+1;"a\nb"\n', encoding="utf-8")
    rows, reader = cells_of(path)
    assert rows == [{"patient_id": "A", "age": "1,5", "sex": "F"}, {"patient_id": "B", "age": "=1+1", "sex": "a\nb"}]
    assert reader == "DuckDB"


def test_settings_that_are_read_as_something_else_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("a: {b: [1, 2.5, yes]}\n", encoding="utf-8")
    assert settings_differences(path, {"a": {"b": [1, 2.5, True]}})[0] == []
    assert settings_differences(path, {"a": {"b": [1, 2.5, "yes"]}})[0]


def test_every_kind_that_must_be_there_is_searched_by_a_pattern_that_finds_it() -> None:
    examples = [
        "DICOM pixels: slice 4: cut off", "NIfTI compression: ct.nii.gz: small bomb",
        "settings: params.yaml: billion laughs", "clinical.csv: clinical.csv: age = '=1+1'",
    ]  # fmt: skip
    rows = {n: dict(zip(("kind", "what"), text.split(": ", 1), strict=True)) for n, text in enumerate(examples)}
    found = named(rows)
    assert set(found) == set(NAMED)
    assert [found[name] for name in ("truncated pixel data", "gzip bombs", "YAML bombs", "CSV with formulas")] == [
        1
    ] * 4
