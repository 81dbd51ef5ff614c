"""The demo's true effect: there when asked for, absent at 0, and not in the size of tumors."""

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from pipelines.demo import demo_params
from pipelines.demo.centers import NORTH, WEST
from pipelines.demo.patients import CLINICAL, Patient, patients_of
from pipelines.demo.scene import draw

SEED = 5
N_PATIENTS = 400


def _auc(patients: list[Patient], values: list[float]) -> float:
    positive = [v for p, v in zip(patients, values, strict=True) if p.is_positive]
    negative = [v for p, v in zip(patients, values, strict=True) if not p.is_positive]
    return float(mannwhitneyu(positive, negative).statistic) / (len(positive) * len(negative))


def _measured(patients: list[Patient], phase: str) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {"mean": [], "sd": [], "voxels": []}
    for patient in patients:
        scene = draw(WEST, patient, SEED, is_hollow=False, has_second=False)[phase]
        values = scene.hu[scene.tumor].astype(float)
        found["mean"].append(values.mean())
        found["sd"].append(values.std())
        found["voxels"].append(float(values.size))
    return found


@pytest.mark.parametrize(("effect", "low", "high"), [(0.0, 0.38, 0.62), (1.0, 0.64, 0.84), (2.0, 0.82, 1.0)])
def test_heterogeneity_follows_the_effect_and_size_does_not(effect: float, low: float, high: float) -> None:
    patients = list(patients_of(WEST, 120, SEED, effect))
    measured = _measured(patients, "corticomedullary")
    assert low < _auc(patients, measured["sd"]) < high
    assert 0.38 < _auc(patients, measured["voxels"]) < 0.62


def test_enhancement_changes_sides_between_phases() -> None:
    patients = list(patients_of(WEST, 120, SEED, 2.0))
    assert _auc(patients, _measured(patients, "corticomedullary")["mean"]) > 0.6
    assert _auc(patients, _measured(patients, "excretory")["mean"]) < 0.4


def test_without_effect_patients_are_the_same_whatever_their_label() -> None:
    patients = list(patients_of(NORTH, N_PATIENTS, SEED, 0.0))
    for sign in CLINICAL:
        assert _auc(patients, [float(p.signs[sign]) for p in patients]) == pytest.approx(0.5, abs=0.08)


def test_clinical_signs_are_independent_of_the_images_given_the_label() -> None:
    """Protects what fusion has to gain."""
    patients = list(patients_of(NORTH, 2000, SEED, 1.0))
    for label in (True, False):
        group = [p for p in patients if p.is_positive is label]
        texture = [p.traits["excretory"].texture_hu for p in group]
        for sign in CLINICAL:
            assert abs(np.corrcoef(texture, [p.signs[sign] for p in group])[0, 1]) < 0.1


def test_the_label_is_the_immunohistochemistry_score() -> None:
    patients = list(patients_of(NORTH, N_PATIENTS, SEED, 1.0))
    assert {p.ihc for p in patients if p.is_positive} == {"2+", "3+"}
    assert {p.ihc for p in patients if not p.is_positive} == {"0", "1+"}
    assert np.mean([p.is_positive for p in patients]) == pytest.approx(NORTH.prevalence, abs=0.01)
    assert len({p.patient_id for p in patients}) == N_PATIENTS


def test_effects_scale() -> None:
    none, one, two = (demo_params(effect) for effect in (0.0, 1.0, 2.0))
    assert none.texture == none.grain == 0
    assert set(none.enhancement.values()) == set(none.clinical.values()) == {0.0}
    assert two.enhancement == {phase: 2 * shift for phase, shift in one.enhancement.items()}


def test_regions_leave_the_border_of_the_volume_free() -> None:
    """Protects the outlines, which need a voxel around, and the crop, which would meet the border."""
    for patient in patients_of(NORTH, 60, SEED, 1.0):
        scene = draw(NORTH, patient, SEED, is_hollow=False, has_second=True)["excretory"]
        inner = np.zeros_like(scene.bladder)
        inner[1:-1, 1:-1, 1:-1] = True
        assert not ((scene.tumor | scene.bladder) & ~inner).any()
        assert all(lesion.sum() >= 8 for lesion in scene.lesions)
