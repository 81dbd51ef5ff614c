"""The page of the extraction benchmark, written from its results."""

from typing import Any

from extraction_cases import CASES, FEATURE_SETS
from extraction_peers import PEERS

TARGETS = {
    # what: the row it is measured in, how, and one limit for each case
    "times as fast as stock": ("1130", "stock", (400.0, 300.0, 200.0)),
    "times as fast as stock with preCrop": ("1130", "precrop", (38.0, 30.0, 25.0)),
    "times as fast as stock, resampled to 1 mm": ("1130 at 1 mm", "stock", (25.0, 18.0, 12.0)),
}
READING = (0.5, 0.65, 1.0)
MORE_MB = 200.0
CROP_TIMES = 5
REACH_MM = 72.0
"""24 sigma of the widest filter of the set with 1,130 features."""
HEAD = """\
# Performance of extraction

This page is written by `benchmarks/extraction.py` (`make bench-extraction`) from `benchmarks/results/extraction.json`.
Volumes are 512×512 chests of ellipses whose noise is that of PyRadiomics's `lung1`, so that they compress as a CT does
(0.91 bytes a voxel; `lung1`, with less air around the body, 0.99); regions are balls in the middle of the body.
Medians of alternating rounds in warm processes with one thread each, reading of the `.nii.gz` files included; of stock,
which takes its time, the first case. `stock` is PyRadiomics 3.1.0 as it comes, `preCrop` with its cropping, which
changes LoG and wavelet features near the crop's edge; `ITK` only reads image and mask. Memory is the peak of the
process, Python and libraries included. Processor time stands in brackets.
"""


def page(found: dict[str, Any]) -> str:
    here = found["machine"]
    lines = [
        HEAD,
        f"Machine: {here['cpu']}, {here['cores']} cores, Python {here['python']}; one-minute load when it was last"
        f" used: {here['load']:.1f}, this benchmark included.",
        "",
        *_goals(found),
        *_rows(found["rows"]),
        *_peers(found["peers"]),
        *_workers(found),
        *_profile(found["profile"]),
        *_floor(found),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _row(found: dict[str, Any], feature_set: str, case: tuple[int, int]) -> dict[str, Any] | None:
    row: dict[str, Any] | None = found["rows"].get(f"{feature_set} · {case[0]}x{case[1]}")
    return row


def _goals(found: dict[str, Any]) -> list[str]:
    lines = ["## Goals", "", "| 1,130 features | " + " | ".join(_case(case) for case in CASES) + " |"]
    lines.append("|---" * (len(CASES) + 1) + "|")
    for what, (feature_set, engine, limits) in TARGETS.items():
        cells = []
        for case, limit in zip(CASES, limits, strict=True):
            row = _row(found, feature_set, case)
            cells.append(_reached(row[engine]["seconds"] / row["fast"]["seconds"] if row else None, limit, more=True))
        lines.append(f"| {what} | {' | '.join(cells)} |")
    cells = []
    for case, limit in zip(CASES, READING, strict=True):
        row = _row(found, "1130", case)
        cells.append(_reached(row["fast"]["seconds"] / row["itk"]["seconds"] if row else None, limit, more=False))
    lines.append(f"| part of ITK's time to read image and mask | {' | '.join(cells)} |")
    cells = []
    for case in CASES:
        row = _row(found, "1130", case)
        cells.append(_reached(row["fast"]["peak_mb"] if row else None, _memory_limit(case), more=False))
    lines.append(f"| peak memory, MB | {' | '.join(cells)} |")
    return [*lines, ""]


def _memory_limit(case: tuple[int, int]) -> float:
    """Returns what the decoded image and mask, 200 MB and five times the filtered crop in single precision take, MB."""
    n_slices, n_voxels = case
    spacing = (2.5 if n_slices == 100 else 1.25, 0.8, 0.8)
    side_mm = 2 * (3 * n_voxels * spacing[0] * spacing[1] * spacing[2] / (4 * 3.14159265)) ** (1 / 3)
    crop = 1.0
    for size, step in zip((n_slices, 512, 512), spacing, strict=True):
        crop *= min((side_mm + 2 * REACH_MM) / step, size)
    return (n_slices * 512 * 512 * 3 + CROP_TIMES * 4 * crop) / 2**20 + MORE_MB


def _reached(value: float | None, limit: float, *, more: bool) -> str:
    if value is None:
        return "not measured"
    is_met = value >= limit if more else value <= limit
    return f"{value:.3g} ({'at least' if more else 'at most'} {limit:.3g}{'' if is_met else ': missed'})"


def _case(case: tuple[int, int]) -> str:
    return f"{case[1]:,} voxels in {case[0]} slices"


def _rows(rows: dict[str, Any]) -> list[str]:
    lines = [
        "## Beside PyRadiomics and ITK",
        "",
        "| slices | voxels | features | fast | ITK | fast ÷ ITK | stock | stock ÷ fast | preCrop | preCrop ÷ fast"
        " | memory, MB, fast / stock | largest difference |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    order = list(FEATURE_SETS)
    for row in sorted(rows.values(), key=lambda row: (order.index(row["features"]), row["slices"], row["voxels"])):
        cells = [f"{row['slices']} | {row['voxels']:,} | {row['features']}"]
        cells += [_seconds(row["fast"]), _seconds(row["itk"]), _times(row, "fast", "itk")]
        cells += [_seconds(row["stock"]), _times(row, "stock", "fast")]
        cells += [_seconds(row["precrop"]), _times(row, "precrop", "fast")]
        cells += [f"{row['fast']['peak_mb']} / {row['stock']['peak_mb']}", f"{row['agreement']:.1e}"]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def _seconds(told: dict[str, Any]) -> str:
    return f"{told['seconds']:.3g} s ({told['cpu_seconds']:.3g})"


def _times(row: dict[str, Any], above: str, below: str) -> str:
    return f"{row[above]['seconds'] / row[below]['seconds']:.3g}"


def _peers(peers: dict[str, Any]) -> list[str]:
    lines = [
        "## Beside other engines",
        "",
        "Each is installed by the benchmark in an environment of its own and takes turns with the fast engine, on what",
        "it covers. `equal` counts the features of the same name within a relative 1e-6.",
        "",
        "| engine | features | slices | voxels | its time | fast | ÷ | memory, MB, it / fast"
        " | equal of those both compute | largest difference |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in peers.values():
        start = f"| {row['peer']} | {row['features']} | {row['slices']} | {row['voxels']:,}"
        if "reason" in row:
            lines.append(f"{start} | {row['reason']} | | | | | |")
            continue
        them, fast = row["them"], row["fast"]
        ratio = them["seconds"] / fast["seconds"]
        lines.append(
            f"{start} | {them['seconds']:.3g} s | {fast['seconds']:.3g} s | {ratio:.3g} "
            f"| {them['peak_mb']} / {fast['peak_mb']} | {row['n_equal']} of {row['n_common']} "
            f"| {row['largest']:.1e} in {row['largest_in']} |"
        )
    lines += ["", *(f"- {name} ({peer.requirements[0]}): {peer.note}." for name, peer in PEERS.items()), ""]
    return lines


def _workers(found: dict[str, Any]) -> list[str]:
    lines = []
    if rates := found["workers"].get("all"):
        one, two = rates["1 worker"], rates["2 worker"]
        lines += [
            "## Workers",
            "",
            f"Two workers on two cores: {two:.3g} cases a second against {one:.3g} (1,130 features, 20,000 voxels):"
            f" {two / one:.3g} times.",
        ]
    if row := _row(found, "1130", (100, 20_000)):
        fast = row["fast"]
        lines.append(
            f"The first case of a fresh process takes {fast['first_seconds'] - fast['seconds']:.2f} s more than a"
            " warm one: importing the engine and loading its compiled kernels."
        )
    return [*lines, ""]


def _profile(profiles: dict[str, Any]) -> list[str]:
    if not profiles:
        return []
    cases = list(profiles)
    names = sorted({name for parts in profiles.values() for name in parts}, key=lambda name: -_longest(profiles, name))
    lines = ["## What remains", "", "Milliseconds of the fast engine by part, 1,130 features, by the clock.", ""]
    lines += [f"| slices x voxels | {' | '.join(cases)} |", "|---" * (len(cases) + 1) + "|"]
    for name in names:
        lines.append(f"| {name} | {' | '.join(f'{1000 * profiles[case].get(name, 0.0):.1f}' for case in cases)} |")
    return [*lines, ""]


def _floor(found: dict[str, Any]) -> list[str]:
    """Returns what the first goal would allow for a case, beside what reading alone takes of it."""
    feature_set, engine, limits = TARGETS["times as fast as stock"]
    lines = ["| slices x voxels | the goal allows, ms | reading image and mask alone, ms |", "|---|---|---|"]
    for case, limit in zip(CASES, limits, strict=True):
        row, parts = _row(found, feature_set, case), found["profile"].get(f"{case[0]}x{case[1]}")
        if row and parts:
            reading = sum(parts[name] for name in ("reading the image", "reading the mask"))
            allowed = row[engine]["seconds"] / limit
            lines.append(f"| {case[0]}x{case[1]} | {1000 * allowed:.1f} | {1000 * reading:.1f} |")
    return [
        "What the goals against stock leave for a case, beside the time of reading, which inflates the file up to the",
        "region's last slice and no further:",
        "",
        *lines,
        "",
    ]


def _longest(profiles: dict[str, Any], name: str) -> float:
    return max(parts.get(name, 0.0) for parts in profiles.values())
