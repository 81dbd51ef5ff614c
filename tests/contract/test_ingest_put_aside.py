"""Cases put aside by hand, and patients who withdrew: in no table, and nothing of them comes back."""

import shutil

from featurestore.tables import read_frame


def test_rejected_by_hand(sound) -> None:
    """The table of rejections is no input of the stage graph; intake carries its hash there."""
    sound.nifti("alpha", "P-0002")
    sound.settings["cohort"]["rejected"] = "rejected.csv"
    sound.save()
    rejected = sound.root / "rejected.csv"
    rejected.write_text("center,patient_id,phase,reason\nalpha,P-0002,mr,P-0002 moved during the scan\n")
    sound.run()
    excluded = sound.table("qc").query("code == 'excluded'")[["phase", "message"]]
    assert excluded.to_numpy().tolist() == [["mr", "… moved during the scan"]]
    before = read_frame(sound.workspace.intake("development"))
    rejected.write_text("center,patient_id,reason\nalpha,P-0002,no consent\n")
    sound.take_in()
    assert not before.equals(read_frame(sound.workspace.intake("development")))
    sound.read()
    assert sound.table("qc")["message"].eq("no consent").sum() == 2
    assert len(sound.table("clinical")) == 1


def test_withdrawn_patient_is_in_no_table_and_does_not_come_back(sound, spy) -> None:
    sound.nifti("alpha", "P-0002")
    sound.run()
    gone = set(sound.table("cases").query("phase == 'mr'")["case_id"])
    sound.settings["cohort"]["withdrawn"] = sorted(gone)
    sound.save()
    for _ in range(2):
        sound.run(spy)
        for name, content in sound.snapshot().items():
            assert not any(case in name or case.encode() in content for case in gone), name
        for table in ("cases", "acquisition", "clinical", "qc", "outcomes"):
            assert not gone & set(sound.table(table)["case_id"])
            assert len(sound.table(table)) == 1
    assert spy.names == []
    assert sound.snapshot() == sound.rebuilt()


def test_withdrawal_needs_no_raw_data(sound) -> None:
    sound.nifti("alpha", "P-0002")
    sound.run()
    gone = set(sound.table("cases").query("phase == 'mr'")["case_id"])
    shutil.rmtree(sound.root / "data" / "raw")
    sound.settings["cohort"]["withdrawn"] = sorted(gone)
    sound.save()
    sound.run()
    for table in ("cases", "acquisition", "clinical", "qc", "outcomes"):
        assert not gone & set(sound.table(table)["case_id"])
    stored = [path.name for path in (sound.root / "data" / "cases").rglob("*") if path.is_file()]
    assert len(stored) == 3
    assert not any(name.startswith(tuple(gone)) for name in stored)
