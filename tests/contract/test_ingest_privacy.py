"""What a careful person is told before data go anywhere: texts burnt into images, dates in columns, open keys."""

import pytest
from pydicom import dcmread

from pipelines.ingest.clinical_values import typed
from pipelines.params.data import ClinicalColumn


def test_an_image_that_says_that_text_is_burnt_in_is_used_and_warned_of(sound) -> None:
    folder = sound.dicom("alpha", "P-0002")
    for path in sorted(folder.glob("IM*"))[:3]:
        one = dcmread(path)
        one.BurnedInAnnotation = "YES"
        one.save_as(path)
    sound.run()
    qc = sound.table("qc")
    (row,) = qc[qc["code"] == "burnt_in"].to_dict("records")
    assert row["status"] == "warned"
    assert row["message"] == "3 of 12 files of the image say that text is burnt into them"
    assert "gallery" in row["remedy"]
    assert row["case_id"] in set(sound.table("cases")["case_id"])


DATES = (
    "2024-03-17", "20240317", "20240317121500", "17.03.2024", "17. 3. 2024", "3/17/24", "1924/3/7", "17 March 2024",
    "17-Mar-24", "March 17th, 2024", "seen 2024.03.17 again", "17. März 2024", "2024-03-17T12:15",
)  # fmt: skip
NO_DATES = ("F", "T2a N1 M0", "3+4=7", "1.2", "1.25.4", "20", "2024", "grade 3 of 17", "May", "12345678", "IHC 3/3", "")


@pytest.mark.parametrize("text", DATES)
def test_a_date_in_a_column_of_text_is_read_as_missing(text: str) -> None:
    value, problem = typed(text, ClinicalColumn(kind="text"))
    assert value is None
    assert "date" in problem
    assert text not in problem


@pytest.mark.parametrize("text", NO_DATES)
def test_other_texts_are_kept(text: str) -> None:
    assert typed(text, ClinicalColumn(kind="text")) == (text or None, "")


def test_a_date_as_a_number_is_missing_unless_numbers_so_large_are_declared() -> None:
    assert "date" in typed("20240317", ClinicalColumn(kind="integer"))[1]
    assert typed("20240317", ClinicalColumn(kind="number", maximum=1e9)) == (20240317.0, "")
    assert typed("20249917", ClinicalColumn(kind="number")) == (20249917.0, "")


def test_no_date_of_a_declared_column_reaches_a_table(sound) -> None:
    sound.row("alpha", "P-0001", sex="operated 17.03.2024")
    sound.run()
    assert sound.table("clinical")["sex"].isna().all()
    (row,) = sound.table("qc").query("code == 'clinical_value'").to_dict("records")
    assert "2024" not in row["message"]
