"""Clinical tables as hospitals really save them."""

from pathlib import Path

import pytest

from pipelines.ingest.clinical import ClinicalTableError, label_of, read_clinical, read_labels, shapes
from pipelines.ingest.clinical_values import typed
from pipelines.params.data import ClinicalColumn, LabelSection

LABEL = LabelSection(name="her2", column="ihc", positive=["2+", 3], negative=["0", "1+"])
COLUMNS = {
    "age": ClinicalColumn(kind="number", minimum=0, maximum=120),
    "sex": ClinicalColumn(kind="category", values=["F", "M"]),
    "sessile": ClinicalColumn(kind="boolean", required=False),
}


def read(tmp_path: Path, data: bytes, **options):
    path = tmp_path / "clinical.csv"
    path.write_bytes(data)
    return read_clinical(path, "alpha", COLUMNS, LABEL, **options)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_encodings_delimiters_and_line_ends(tmp_path, encoding, delimiter, newline) -> None:
    lines = [["patient_id", "AGE", "sex", "ihc", "note"], [" Müller-1 ", "61.5", "f", "2+", "é"], ["", "", "", "", ""]]
    text = newline.join(delimiter.join(cells) for cells in lines) + newline
    patients = read(tmp_path, text.encode(encoding)).patients
    assert list(patients) == ["Müller-1"]
    assert patients["Müller-1"].values == {"age": 61.5, "sex": "F", "sessile": None}
    assert patients["Müller-1"].label == 1


def test_quoted_cells_and_decimal_commas(tmp_path) -> None:
    patients = read(tmp_path, b'patient_id;age;sex;ihc\n"P;1";"61,5";M;"1+"\n').patients
    assert patients["P;1"].values["age"] == 61.5


def test_same_row_twice_is_used_once_and_said(tmp_path) -> None:
    patients = read(tmp_path, b"patient_id,age,sex,ihc\nP1,61,F,0\nP1,61,F,0\n").patients
    assert [complaint.code for complaint in patients["P1"].complaints] == ["clinical_doubled"]


def test_same_patient_with_other_values_is_an_error(tmp_path) -> None:
    with pytest.raises(ClinicalTableError, match=r"rows 2, 3 .* differ in age, the label"):
        read(tmp_path, b"patient_id,age,sex,ihc\nP1,61,F,0\nP1,62,F,2+\n")


def test_row_without_id_and_shifted_row(tmp_path) -> None:
    with pytest.raises(ClinicalTableError, match="row 3 has no patient_id"):
        read(tmp_path, b"patient_id,age,sex,ihc\nP1,61,F,0\n,62,F,2+\n")
    with pytest.raises(ClinicalTableError, match="row 2"):
        read(tmp_path, b"patient_id,age,sex,ihc\nP1,61,F,0,stray\n")


def test_bad_value_names_row_and_column_and_not_the_value(tmp_path) -> None:
    """A name in the wrong column must not reach the tables."""
    patient = read(tmp_path, b"patient_id,age,sex,ihc\nP1,Hrdlicka,X,0\n").patients["P1"]
    said = [complaint.message for complaint in patient.complaints]
    assert said == ["row 2 of clinical.csv: age is no number", "row 2 of clinical.csv: sex is none of F, M"]
    assert patient.values["age"] is None


@pytest.mark.parametrize("name", [None, "clinical.csv"])
def test_a_labelled_center_without_its_table_is_told(tmp_path, name) -> None:
    """Status asks by the file's place, ingest by what intake listed."""
    with pytest.raises(ClinicalTableError, match=r"there is no clinical\.csv in its folder"):
        read_clinical(name and tmp_path / name, "alpha", COLUMNS, LABEL)


def test_unlabelled_hospital_may_have_any_label_or_none(tmp_path) -> None:
    assert read_clinical(None, "alpha", COLUMNS, LABEL, labelled=False).patients == {}
    patient = read(tmp_path, b"patient_id,age,sex,ihc\nP1,61,F,pending\n", labelled=False).patients["P1"]
    assert (patient.label, patient.label_value, patient.complaints) == (None, None, ())
    twice = b"patient_id,age,sex,ihc\nP1,61,F,0\nP1,61,F,3+\n"
    assert list(read(tmp_path, twice, labelled=False).patients) == ["P1"], "no label may hold up a score"


def test_labels_are_read_apart_as_far_as_they_are_there(tmp_path) -> None:
    path = tmp_path / "clinical.csv"
    path.write_bytes(b"patient_id,IHC\nP1,2+\nP2,pending\nP3,\nP4,0\n")
    found = read_labels(path, "alpha", LABEL)
    assert {name: one.label for name, one in found.patients.items()} == {"P1": 1, "P2": None, "P3": None, "P4": 0}
    assert [one.code for one in found.patients["P2"].complaints] == ["label_undeclared"]
    path.write_bytes(b"patient_id,age\nP1,3\n")
    assert read_labels(path, "alpha", LABEL) is None
    path.write_bytes(b"patient_id,ihc\nP1,0\nP1,2+\n")
    with pytest.raises(ClinicalTableError, match="differ in the label"):
        read_labels(path, "alpha", LABEL)


@pytest.mark.parametrize(("text", "wanted"), [("2+", 1), ("3", 1), ("3.0", 1), (" 0", 0), ("0.0", 0), ("4", None)])
def test_label_values(text, wanted) -> None:
    assert label_of(text, LABEL) == wanted


@pytest.mark.parametrize(
    ("kind", "text", "wanted"),
    [
        ("number", "1e2", 100.0),
        ("number", "nan", None),
        ("number", "", None),
        ("integer", "7.0", 7),
        ("integer", "7.5", None),
        ("boolean", "Yes", True),
        ("boolean", "0.0", False),
        ("boolean", "maybe", None),
        ("text", "as it is", "as it is"),
    ],
)
def test_typed_values(kind, text, wanted) -> None:
    assert typed(text, ClinicalColumn(kind=kind))[0] == wanted


def test_shapes_tell_nobody() -> None:
    assert shapes(["P-0012", "Zoë 7"]) == "A-9999, AAA 9"
