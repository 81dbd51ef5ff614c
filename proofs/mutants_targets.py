"""Which modules are mutated, how many mutants of each are drawn, and the short tests that must notice them."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from proofs.mutants_made import Mutant, mutants_of

FAST = "pipelines/radiomics/fast"
FORMULAS = (
    *("firstorder", "glcm", "glrlm", "glszm", "neighbors", "sizes", "eigen", "delicate", "graylevels", "offsets"),
    *("pairs", "sweep", "region", "textures", "shape", "shape2d", "hull", "scene", "images", "intensity", "gradient"),
    *(
        "normalizing",
        "wavelet",
        "recursive",
        "log_filter",
        "lbp2d",
        "lbp3d",
        "prepare",
        "masks",
        "resampling",
        "engine",
    ),
)
LEFT_OUT: Mapping[str, str] = {
    "lanes, words": "instructions for the compiler, which have no body without it",
    "mesh_rows": "one table of text; test_engine_generated compares every kind of cube with PyRadiomics",
    "reading, streams, layouts, dicom_folder, picture, placing": "read files; no formulas",
    "diagnostics, problems": "report and refuse; no formulas",
}

_WRONG = "tests/contract/test_engine_wrong_input.py::test_wrong_input_has_pyradiomicss_values_or_a_cause"


@dataclass(frozen=True, kw_only=True)
class Target:
    """A part of the core.

    Args:
        name: What it is called in the table.
        files: Its modules, from the repository's root.
        share: How many of every 400 mutants are drawn from it.
        tests: The tests that must notice them, the likeliest first; those that take long without a compiler deselected.
    """

    name: str
    files: tuple[str, ...]
    share: int
    tests: tuple[str, ...]


TARGETS = (
    Target(
        name="engine formulas",
        files=tuple(f"{FAST}/{name}.py" for name in FORMULAS),
        share=240,
        tests=(
            "tests/golden/test_engine_formulas.py",
            "tests/unit/test_fast_delicate.py",
            "tests/unit/test_fast_last_bit.py",
            "tests/contract/test_engine_refusals.py",
            "tests/contract/test_engine_wrong_input.py",
            *("--deselect", f"{_WRONG}[300 bins]", "--deselect", f"{_WRONG}[one slice]"),
            *("--deselect", "tests/contract/test_engine_wrong_input.py::test_ten_thousand_bins_have_values"),
        ),
    ),
    Target(
        name="splits",
        files=("pipelines/training/splits.py",),
        share=32,
        tests=("tests/unit/test_training_splits.py",),
    ),
    Target(
        name="ledger",
        files=("registry/ledger.py",),
        share=40,
        tests=("tests/unit/test_registry_ledger.py",),
    ),
    Target(
        name="gates",
        files=("registry/gates.py",),
        share=40,
        tests=("tests/unit/test_registry_gates.py",),
    ),
    Target(
        name="DeLong",
        files=("pipelines/evaluation/discrimination.py",),
        share=48,
        tests=("tests/golden/test_statistics_independent.py", "tests/unit/test_evaluation_statistics.py"),
    ),
)
LEAST = 2
"""Mutants of the smallest module."""
WHOLE = sum(target.share for target in TARGETS)


def tests_digest(root: Path, target: Target) -> str:
    """Returns the hash of a target's tests and what they are made of: with others, survivors are tried again."""
    files = [root / test for test in target.tests if (root / test).is_file()]
    files += [*sorted((root / "tests" / "golden").glob("formula_*")), *sorted((root / "tests").glob("*_volumes.py"))]
    content = b"".join(file.read_bytes() for file in files) + repr(target.tests).encode()
    return hashlib.sha256(content).hexdigest()


def drawn(root: Path, count: int, seed: int) -> list[tuple[Target, Mutant]]:
    """Returns what a seed draws: each target's share, spread over its modules by how many mutants they have."""
    chosen: list[tuple[Target, Mutant]] = []
    for target in TARGETS:
        by_file = {file: mutants_of(root, file) for file in target.files}
        quotas = _quotas({file: len(found) for file, found in by_file.items()}, round(target.share * count / WHOLE))
        for file, found in by_file.items():
            lots = sorted(found, key=lambda mutant: _lot(mutant, seed))
            chosen += [(target, mutant) for mutant in lots[: quotas[file]]]
    return chosen


def _lot(mutant: Mutant, seed: int) -> str:
    """Returns the lot a mutant draws: it stays the same when other lines of its file change."""
    drawn_by = f"{seed}|{mutant.file}|{mutant.text}|{mutant.before}|{mutant.after}|{mutant.column}"
    return hashlib.sha256(drawn_by.encode()).hexdigest()


def _quotas(sizes: dict[str, int], total: int) -> dict[str, int]:
    """Returns how many of each: two of every module at least, the rest in proportion to size."""
    total = min(total, sum(sizes.values()))
    quotas = {name: min(LEAST, size, total // len(sizes)) for name, size in sizes.items()}
    rest, free = total - sum(quotas.values()), {name: size - quotas[name] for name, size in sizes.items()}
    exact = {name: size * rest / max(sum(free.values()), 1) for name, size in free.items()}
    for name, share in exact.items():
        quotas[name] += int(share)
    by_remainder = sorted(sizes, key=lambda name: (int(exact[name]) - exact[name], name))
    for name in by_remainder[: total - sum(quotas.values())]:
        quotas[name] += 1
    return quotas
