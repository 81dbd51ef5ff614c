"""radmill reads the demo as it was meant: every planted fault is named, everything else is there, voxel for voxel."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.dataset as arrow
import pytest

from pipelines.demo import PLANTED
from pipelines.demo.centers import CENTERS, HARBOR
from pipelines.demo.patients import patients_of
from pipelines.demo.scene import draw
from pipelines.images.files import read_case
from pipelines.ingest.ingest import ingest, ingest_centers
from pipelines.ingest.intake import intake, list_centers, write_intake
from pipelines.ingest.places import IngestPlaces
from pipelines.ingest.pseudonyms import case_id, key_id, load_key
from pipelines.params import load_params
from pipelines.params.data import Center
from pipelines.runner import SerialRunner, Silent
from pipelines.workspace import ROLES, Workspace

ROOT = Path(__file__).resolve().parents[2]
SEED = 20240501
N_PATIENTS = 6


@dataclass(frozen=True)
class Ingested:
    """What came out: tables of all centers, where the volumes lie, and the keys."""

    qc: pd.DataFrame
    cases: pd.DataFrame
    folders: dict[str, Path]
    keys: dict[str, bytes]


@pytest.fixture(scope="module")
def ingested(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Ingested:
    study = Workspace(shutil.copytree(demo, tmp_path_factory.mktemp("demo") / "study"))
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, study.root)
    intake(study, load_params(study.params))
    params = load_params(study.params)
    for role in ROLES:
        ingest(study, params, role, SerialRunner())
    places = _harbor(study)
    centers = {HARBOR.name: Center(key_id=key_id(load_key(study.keys, HARBOR.name)))}
    write_intake(places, list_centers(places, centers, Silent()))
    ingest_centers(places, params.case_rules(), centers, SerialRunner(), labelled=False)
    views = [study.view(role, "cases").parent for role in ROLES] + [places.views]
    folders = {center: study.cases(role) for role in ROLES for center in params.centers.of(role)}
    return Ingested(
        qc=pd.concat([_table(view / "qc") for view in views]),
        cases=pd.concat([_table(view / "cases") for view in views]),
        folders=folders | {HARBOR.name: places.cases},
        keys={style.name: load_key(study.keys, style.name) for style in CENTERS},
    )


def _harbor(study: Workspace) -> IngestPlaces:
    names = {name: study.deployment / name for name in ("intake", "cases", "views", "outcomes", "index")}
    return IngestPlaces(raw={HARBOR.name: study.root / HARBOR.folder}, keys=study.keys, **names)


def _table(folder: Path) -> pd.DataFrame:
    return arrow.dataset(folder, partitioning="hive").to_table().to_pandas().astype({"center": str})


def test_every_planted_fault_has_its_own_row(ingested: Ingested) -> None:
    for planted in PLANTED:
        patient = case_id(ingested.keys[planted.center], planted.patient)
        rows = ingested.qc[(ingested.qc.center == planted.center) & (ingested.qc.case_id == patient)]
        rows = rows[rows.phase.isin([planted.phase, *(rows.phase if not planted.phase else [])])]
        found = rows[rows.code == planted.code]
        assert len(found), f"{planted}: {sorted(rows.code)}"
        assert (found.message != "").all()


def test_nothing_but_planted_faults_is_complained_of(ingested: Ingested) -> None:
    expected = {(p.center, case_id(ingested.keys[p.center], p.patient), p.code) for p in PLANTED}
    complaints = ingested.qc[ingested.qc.status != "ok"]
    assert set(zip(complaints.center, complaints.case_id, complaints.code, strict=True)) == expected


def test_stored_volumes_and_masks_are_the_ones_that_were_drawn(ingested: Ingested) -> None:
    """Protects contours with holes, several lesions, prone patients, binary and fractional segmentations at once."""
    seen = 0
    for style in CENTERS:
        for patient in patients_of(style, N_PATIENTS, SEED, 1.0):
            name = case_id(ingested.keys[style.name], patient.patient_id)
            scenes = draw(style, patient, SEED, is_hollow=patient.index == 5, has_second=patient.index == 0)
            own = ingested.cases[(ingested.cases.center == style.name) & (ingested.cases.case_id == name)]
            for row in own[own.is_primary].itertuples():
                folder = ingested.folders[style.name]
                image, mask = read_case(folder / str(row.image), folder / str(row.mask))
                scene = scenes[str(row.phase)]
                corner = (np.array(image.grid.origin_mm) - scene.grid.origin_mm) @ scene.grid.matrix()
                lower = np.rint(corner / scene.grid.spacing_mm).astype(int)
                window = tuple(slice(a, a + n) for a, n in zip(lower[::-1], image.array().shape, strict=True))
                np.testing.assert_array_equal(image.array(), scene.hu[window])
                np.testing.assert_array_equal(mask.array().astype(bool), scene.tumor[window])
                assert int(mask.array().sum()) == int(scene.tumor.sum())
                seen += 1
    refused = (ingested.qc.status.isin(["refused", "excluded"])).sum()
    assert seen + refused == len(CENTERS) * N_PATIENTS * 3
