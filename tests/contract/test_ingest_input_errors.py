"""Wrong input is named before anything is written."""

import shutil

import pytest
import yaml

from featurestore.errors import InputError
from pipelines.ingest.clinical import ClinicalTableError
from pipelines.ingest.eligibility import RejectedTableError, RuleColumnError
from pipelines.ingest.listed_cases import CasesTableError
from pipelines.ingest.phases import PhasePatternError
from pipelines.ingest.places import CenterEmptyError, CenterFolderMissingError
from pipelines.ingest.pseudonyms import KeyDiffersError, KeyMissingError, KeyUndeclaredError, create_key


@pytest.fixture
def sound(cohort):
    cohort.nifti("alpha", "P-0001")
    cohort.nifti("alpha", "P-0002")
    return cohort


def refuses(cohort, kind: type[InputError], *words: str) -> None:
    """Sees the error, with exit code, remedy and words, and that no table changed."""
    before = cohort.snapshot()
    with pytest.raises(kind) as caught:
        cohort.run()
    assert caught.value.exit_code == 2
    assert caught.value.remedy
    for word in words:
        assert word in str(caught.value)
    after = {name: data for name, data in cohort.snapshot().items() if not name.startswith("intake/")}
    assert after == {name: data for name, data in before.items() if not name.startswith("intake/")}


def test_center_folder_missing(sound) -> None:
    sound.run()
    sound.settings["centers"]["external"]["omega"] = {}
    sound.save()
    refuses(sound, CenterFolderMissingError, "omega")
    assert not (sound.root / "private" / "keys" / "omega.key").exists()


def test_empty_center(sound) -> None:
    sound.settings["centers"]["external"]["omega"] = {}
    sound.save()
    (sound.root / "data" / "raw" / "omega").mkdir()
    refuses(sound, CenterEmptyError, "omega")
    assert not sound.snapshot()


def test_key_missing(sound) -> None:
    sound.run()
    (sound.root / "private" / "keys" / "alpha.key").unlink()
    refuses(sound, KeyMissingError, "alpha", "radmill key import")


def test_other_key(sound) -> None:
    sound.run()
    (sound.root / "private" / "keys" / "alpha.key").unlink()
    create_key(sound.workspace.keys, "alpha")
    refuses(sound, KeyDiffersError, "alpha", sound.params.centers.development["alpha"].key_id)


def test_key_id_taken_out_of_the_settings(sound) -> None:
    """Without it data could be pseudonymized under another key and nobody would notice."""
    sound.run()
    content = yaml.safe_load((sound.root / "params.yaml").read_text())
    lying = content["centers"]["development"]["alpha"]["key_id"]
    content["centers"]["development"]["alpha"] = {}
    (sound.root / "params.yaml").write_text(yaml.safe_dump(content))
    refuses(sound, KeyUndeclaredError, "alpha", f"key file here: {lying}")


def test_label_value_not_declared(sound) -> None:
    sound.row("alpha", "P-0002", ihc="4+")
    refuses(sound, ClinicalTableError, "'4+'", "'ihc'", "row 3", "alpha", "2+")


@pytest.mark.parametrize("column", ["age", "ihc", "patient_id"])
def test_column_missing(sound, column) -> None:
    sound.write_clinical("alpha", drop=(column,))
    refuses(sound, ClinicalTableError, repr(column), "alpha")


def test_clinical_table_missing(sound) -> None:
    (sound.root / "data" / "raw" / "alpha" / "clinical.csv").unlink()
    refuses(sound, ClinicalTableError, "alpha")


def test_no_patient_matches(sound) -> None:
    """Ids that merge nobody stop before any work; they are shown by their shape, which names nobody."""
    rows = sound.clinical["alpha"]
    sound.clinical["alpha"] = {name.replace("-", ""): values for name, values in rows.items()}
    sound.write_clinical("alpha")
    refuses(sound, InputError, "A9999", "A-9999")


def test_rule_on_unknown_column(sound) -> None:
    sound.settings["cohort"]["include"][0]["column"] = "agee"
    sound.save()
    refuses(sound, RuleColumnError, "agee", "age")


def test_rejected_table_missing(sound) -> None:
    sound.settings["cohort"]["rejected"] = "rejected.csv"
    sound.save()
    refuses(sound, RejectedTableError, "rejected.csv")


def test_center_pattern_of_undeclared_phase(sound) -> None:
    sound.settings["centers"]["development"]["alpha"]["phases"] = {"pet": "x"}
    sound.save()
    refuses(sound, PhasePatternError, "pet", "alpha")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("patient_id,phase,image\nP-0001,ct,a\n", "mask"),
        ("patient_id,phase,image,mask\nP-0001,pet,a,b\n", "phase that is not declared"),
        ("patient_id,phase,image,mask\n,ct,a,b\n", "row 2"),
        ("patient_id,phase,image,mask,label\nP-0001,ct,a,b,-1\n", "label that is neither"),
    ],
)
def test_cases_table(sound, text, word) -> None:
    (sound.root / "data" / "raw" / "alpha" / "cases.csv").write_text(text)
    refuses(sound, CasesTableError, word, "alpha")


def test_unlisted_center_is_not_read(sound) -> None:
    sound.take_in()
    shutil.rmtree(sound.workspace.intake("development"))
    with pytest.raises(Exception, match="intake has not listed"):
        sound.read()
