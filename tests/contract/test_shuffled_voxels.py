"""Features of shuffled voxels: measured once a case, equal where texture has no part, and never taken for the real."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from featurestore.errors import DamagedTableError
from featurestore.tables import centers_of, read_frame
from pipelines.execution.extract import shuffle
from pipelines.params import Params, parse_params
from pipelines.runner import SerialRunner
from pipelines.shuffled_views import shuffled_frame, shuffled_phases
from pipelines.stored_views import view_frame
from pipelines.workspace import Workspace
from tests.contract.stored_study import FEW, TEMPLATE, Counting, Study


def params(**changes: Any) -> Params:
    content = yaml.safe_load(TEMPLATE.read_text())
    phases = {"early": {"series_description": "x"}, "late": {"series_description": "y"}}
    content |= {"phases": phases, "services": {"early": {"phases": ["early"]}}, "deep": {}, "fusion": {}}
    content |= {"models": {"one": {"service": "early", "estimator": "lr"}}}
    content["centers"] = {"development": {"north": {}}, "external": {}}
    content["extraction"] = {"engine": "fast", "default": FEW}
    return parse_params({**content, **changes})


@pytest.fixture
def study(tmp_path: Path) -> Study:
    made = Study(tmp_path, "fast")
    for case_id in ("a1", "b2"):
        made.add("north", case_id, "early")
        made.add("north", case_id, "late")
    made.add("north", "a1", "early", "b")
    made.extract()
    return made


def test_texture_goes_and_size_shape_and_histogram_stay(study: Study) -> None:
    workspace, settings = Workspace(study.root), params()
    assert shuffled_phases(settings) == ["early"]
    real = study.bytes()
    summary = shuffle(workspace, settings, "development", ["early"], SerialRunner())
    assert (summary.regions, summary.computed) == (2, 2), "other observers and other phases are not needed"
    assert study.bytes() == real, "the real tables are not touched"
    found = shuffled_frame(workspace, settings, "development").set_index("case_id")
    own = view_frame(workspace, settings, "development", "radiomics")
    own = own[own["phase"] == "early"].set_index("case_id")
    for name in ("original_shape_MeshVolume", "original_firstorder_Mean", "original_firstorder_Entropy"):
        assert np.allclose(found[name], own[name], rtol=1e-12), name
    for name in ("original_glcm_Idm", "log-sigma-1-5-mm-3D_firstorder_Mean"):
        assert not np.isclose(found[name], own[name], rtol=1e-6).any(), name
    assert not set(found["fingerprint"]) & set(own["fingerprint"])


def test_a_case_that_did_not_change_is_not_measured_again(study: Study) -> None:
    workspace, counting = Workspace(study.root), Counting()
    shuffle(workspace, params(), "development", ["early"], SerialRunner())
    study.add("north", "c3", "early")
    study.write()
    shuffle(workspace, params(), "development", ["early"], counting)
    assert counting.names == ["north / c3 / early / tumor"]
    shuffle(workspace, params(), "development", [], counting)
    assert not centers_of(workspace.shuffled("development") / "shuffled"), "switched off, the table goes"


def test_real_features_in_their_place_are_refused(study: Study) -> None:
    """Somebody copies a folder: its notes do not say that voxels were shuffled."""
    workspace = Workspace(study.root)
    (workspace.shuffled("development")).mkdir(parents=True)
    workspace.features("development").rename(workspace.shuffled("development") / "shuffled")
    assert len(read_frame(workspace.shuffled("development") / "shuffled"))
    with pytest.raises(DamagedTableError, match="not said to be of shuffled voxels"):
        shuffled_frame(workspace, params(), "development")
