"""Shows that a package carried to a bare environment gives the study's numbers, bit for bit, and what that costs.

`python -m proofs.carried FOLDER` makes a small study in FOLDER when there is none, scores its hospital with a version
of each kind, installs radmill into an empty environment, and scores the same files there from one exported file each.
"""

import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path

import pandas as pd

from proofs.small_study import FUSION, NETWORK, TABULAR, call, radmill, small_study

ROOT = Path(__file__).resolve().parents[1]
ROLE = ("case_id", "probability", "threshold", "positive")
LOCKED = ("--constraint", str(ROOT / "requirements.lock"))
MIB = 1 << 20


def main(folder: Path) -> None:
    """Runs the proof."""
    study, bare = folder / "carried" / "study", folder / "carried" / "bare"
    small = small_study(folder / "small" / "study")
    shutil.rmtree(folder / "carried", ignore_errors=True)
    shutil.copytree(small, study, symlinks=True)
    private, public = _keys(folder / "carried")
    venv.create(bare, with_pip=True)
    empty = _size(bare)
    for extras, names in (("", [TABULAR]), ("[sign]", [TABULAR]), ("[sign,deep]", [NETWORK, FUSION])):
        began = time.perf_counter()
        call(
            folder,
            str(bare / "bin" / "pip"),
            "install",
            "--quiet",
            "--disable-pip-version-check",
            *LOCKED,
            f"{ROOT}{extras}",
        )
        took = time.perf_counter() - began
        print(f"pip install radmill{extras}: {took:.0f} s more, {(_size(bare) - empty) / MIB:.0f} MB in all")
        for name in names:
            _carry(study, bare, name, ("--verify-key", str(public)) if extras else None, private)


def _carry(study: Path, bare: Path, name: str, key: tuple[str, ...] | None, private: Path) -> None:
    expected, file = _scored(study, name), study.parent / f"{name}.radmill"
    told = radmill(study, "export", name, str(file), "--sign", str(private))
    digest = next(line.split()[-1] for line in told.splitlines() if line.split()[:1] == ["digest"])
    for center, table in expected.items():
        out = study.parent / f"{name}-{center}-{'key' if key else 'digest'}.csv"
        kept = out.with_name(f"{out.name}.work") / "private" / "keys"
        kept.mkdir(parents=True)
        shutil.copy(study / "private" / "keys" / f"{center}.key", kept / "this-hospital.key")
        asked = ["--package", str(file), "--images", str(study / "incoming" / center), "--out", str(out)]
        call(study.parent, str(bare / "bin" / "radmill"), "score", *asked, *(key or ("--digest", digest)), codes=(0, 1))
        found = pd.read_csv(out)
        pd.testing.assert_frame_equal(_sorted(found), _sorted(table), check_exact=True)
        print(f"  {name}, {center}: {len(found)} patients, bit for bit the study's; trust: {found['trust'].iloc[0]}")


def _scored(study: Path, name: str) -> dict[str, pd.DataFrame]:
    radmill(study, "promote", name, "--override", "a proof")
    radmill(study, "score", codes=(0, 1))
    tables = sorted((study / "deployment" / "centers").glob("*/scores.csv"))
    return {path.parent.name: pd.read_csv(path) for path in tables}


def _sorted(table: pd.DataFrame) -> pd.DataFrame:
    return table[list(ROLE)].sort_values("case_id").reset_index(drop=True)


def _keys(folder: Path) -> tuple[Path, Path]:
    private, public = folder / "key.pem", folder / "public.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", private], check=True)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
    return private, public


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "build/proofs").resolve())
