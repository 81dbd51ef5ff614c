"""Wrong input on the real road, from files to the hospital's table: units, another organ, another study."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

from featurestore.schemas import Column
from featurestore.tables import read_frame
from featurestore.training_sets import INTERNAL, TRAINING, TrainingSet
from pipelines.params.operation import DoubtSection, ScoringSection
from pipelines.runner import SerialRunner, Silent
from pipelines.scoring.in_force import versions_in_force
from pipelines.scoring.scorer import Scorer
from pipelines.training.acquisitions import image_facts, told_acquisition
from pipelines.training.crossval import OutOfFold
from pipelines.training.references import tabular_reference
from registry.package import save_package
from registry.parts import Part
from tests.conftest import Candidates
from tests.hospital_study import SPACING, SmallStudy, small_study, write_clinical

SHAPE = (14, 24, 24)
N = 44


class Judgement:
    """What cross-validation said of nobody: all patients here are held out."""

    nested = flattering = OutOfFold(y=np.zeros(0, np.int8), p=np.zeros((0, 1)), fold=np.zeros((0, 1), np.int64))


def send(
    study: SmallStudy,
    center: str,
    patients: Sequence[str],
    *,
    offset: float = 0.0,
    radius: float = 1.0,
    spacing: tuple[float, float, float] = SPACING,
) -> None:
    """Lets scans of a ball in noise come in, as a development center sends them unless told otherwise."""
    for patient in patients:
        rng = np.random.default_rng(list(f"{center}{patient}".encode()))
        z, y, x = np.indices(SHAPE) - (np.array(SHAPE) / 2).reshape(3, 1, 1, 1)
        size = radius * np.exp(rng.normal(np.log(3.5), 0.12))
        mask = ((z * 1.6) ** 2 + (y * rng.uniform(0.85, 1.2)) ** 2 + x**2 < size**2).astype(np.uint8)
        hu = np.where(mask, rng.normal(60, 8), -80) + rng.normal(0, 25, SHAPE)
        hu[:, :2] = -1000
        folder = study.workspace.incoming / center / patient
        folder.mkdir(parents=True, exist_ok=True)
        for name, array in (("ct", np.rint(hu + offset).astype(np.int16)), ("ct_mask", mask)):
            image = sitk.GetImageFromArray(array)
            image.SetSpacing(spacing)
            sitk.WriteImage(image, str(folder / f"{name}.nii.gz"))
    write_clinical(study.workspace.incoming / center)


def scorer(study: SmallStudy) -> Scorer:
    force = versions_in_force(study.registry)
    return Scorer(study.deployment, force.champion, SerialRunner(), Silent(), ScoringSection())


def remembering(study: SmallStudy, center: str) -> None:
    """Registers and promotes the champion again, as if a center's cases had been its development's."""
    own = scorer(study)
    rows, package = own.patients(center), own.package
    views = study.deployment.ingest(center, own.rules()).views
    facts = image_facts(read_frame(views / "cases"), read_frame(views / "acquisition"))
    X = rows[list(package.features)].to_numpy(np.float64)
    whole = TrainingSet(
        X=X,
        y=(np.arange(len(X)) % 2).astype(np.int8),
        center=rows["center"].to_numpy(np.str_),
        case_id=rows["case_id"].to_numpy(np.str_),
        split=np.where(np.arange(len(X)) < len(X) // 2, INTERNAL, TRAINING),
        columns=tuple(Column(name=name) for name in package.features),
        record={"acquisition": told_acquisition(facts, rows, ["ct"])},
    )
    scale = {"scale.mean": X.mean(axis=0), "scale.sd": X.std(axis=0), "impute.median": np.median(X, axis=0)}
    arrays = {**package.arrays, **scale}
    told = tabular_reference(Part(manifest=package.manifest, arrays=arrays), whole, Judgement())  # type: ignore[arg-type]
    manifest = {key: value for key, value in package.manifest.items() if key not in ("format", "files")}
    folder, training = study.root / "data" / "again", study.root / "data" / "training" / "biphasic"
    save_package(folder / "package", {**manifest, **told.manifest}, {**arrays, **told.arrays}, X[:2], "# again\n")
    version = study.registry.register("again", folder / "package", training, Candidates().metrics(), "a test")
    study.registry.promote(version.digest, {}, "a test")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SmallStudy:
    study = small_study(tmp_path_factory.mktemp("doubt") / "study")
    study.promoted("first")
    send(study, "known", [f"K-{number:02d}" for number in range(N)])
    study.score()
    remembering(study, "known")
    return study


@pytest.fixture
def study(made: SmallStudy, tmp_path: Path) -> SmallStudy:
    return made.copy(tmp_path / "study")


def table(study: SmallStudy, center: str) -> pd.DataFrame:
    return pd.read_csv(study.deployment.center(center) / "scores.csv", keep_default_na=True).fillna({"doubt": ""})


def codes(study: SmallStudy, center: str) -> dict[str, int]:
    rows = study.history(study.registry.champion().digest)  # type: ignore[union-attr]
    told = rows.loc[rows["center"] == center, "doubts"].str.split(";").explode()
    return {str(code): int(n) for code, n in told[told != ""].value_counts().items()}


PATIENTS = [f"H-{number:02d}" for number in range(10)]


def test_cases_like_those_of_development_are_hardly_doubted(study: SmallStudy) -> None:
    send(study, "harbor", PATIENTS)
    summary = study.score()
    assert codes(study, "harbor") == {}
    assert (table(study, "harbor")["doubt"] == "").sum() >= 8
    assert not [alarm for alarm in summary.alarms if alarm.center == "harbor"]
    assert study.history()["distance"].notna().any()


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("intensity", {"offset": 1024.0}),
        ("shape", {"radius": 2.2}),
        ("spacing", {"spacing": (1.0, 1.0, 5.0)}),
    ],
)
def test_wrong_input_is_named_and_rings(study: SmallStudy, code: str, change: dict[str, float]) -> None:
    """Values without air near -1000 or in other units, another organ outlined, other slices."""
    send(study, "harbor", PATIENTS, **change)  # type: ignore[arg-type]
    summary = study.score()
    assert codes(study, "harbor")[code] == 10
    kind = "other_acquisition" if code == "spacing" else "other_data"
    ringing = [alarm for alarm in summary.alarms if alarm.center == "harbor" and alarm.code == kind]
    assert len(ringing) == 1
    assert f"{code} 10" in ringing[0].message
    assert summary.is_clean, "a doubted case has its score all the same"


def test_one_strange_case_among_others_rings_nothing_and_is_withheld_when_asked(study: SmallStudy) -> None:
    send(study, "harbor", PATIENTS[:-1])
    send(study, "harbor", PATIENTS[-1:], offset=1024.0)
    study.score()
    history, flagged = study.history(), table(study, "harbor")
    assert flagged["probability"].notna().all()
    summary = study.score(doubt=DoubtSection(policy="withhold"))
    withheld = table(study, "harbor")
    assert withheld["probability"].isna().tolist() == (withheld["doubt"] != "").tolist()
    assert (withheld["doubt"].str.contains("units")).sum() == 1
    assert not [alarm for alarm in summary.alarms if alarm.code.startswith("other_")]
    pd.testing.assert_frame_equal(study.history(), history, check_exact=True)
    study.score(doubt=DoubtSection(policy="score"))
    assert "doubt" not in pd.read_csv(study.deployment.center("harbor") / "scores.csv")
    pd.testing.assert_frame_equal(study.history(), history, check_exact=True)
