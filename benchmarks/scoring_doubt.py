"""Measures doubt: what conformal sets keep of their promise, here and at another hospital, and which cases are doubted.

    python benchmarks/scoring_doubt.py [--parts coverage shifted mapie doubts] [--splits 500] [--draws 200] [--out FILE]

`section` makes the results into a part of docs/performance-scoring.md.
"""

import argparse
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import beta
from threadpoolctl import threadpool_limits

from featurestore.files import write_json
from pipelines.record import installed
from pipelines.scoring.conformal import class_p_values, least_cases

RESULTS = Path(__file__).parent / "results" / "scoring_doubt.json"
Floats = NDArray[np.float64]
SIZE, SEED, ALPHAS, LOOKS = 5_000, 3, (0.05, 0.1, 0.2), (10, 30, 100, 300)
CALIBRATION = (19, 39, 99, 299)
"""Held-out cases of a class: sizes at which the error rates can be met exactly; others err on the side of caution."""
MAPIE_SPLITS = 25
LOOKED_AT = 20
"""Images of each change whose acquisition is looked at."""
SHIFTS = {
    "none": (0.0, 1.0),
    "log odds 0.5 higher": (0.5, 1.0),
    "log odds 1 higher": (1.0, 1.0),
    "half as steep": (0, 0.5),
}


def population(rng: np.random.Generator, n: int = SIZE) -> tuple[Floats, NDArray[np.int8]]:
    """Returns log odds of a model with an AUC near 0.8, and labels."""
    y = (rng.random(n) < 0.4).astype(np.int8)
    return rng.normal(np.where(y == 1, 0.6, -0.6), 1.0), y


def covered(
    p: Floats, y: NDArray[np.int8], cal: NDArray[np.int64], new: NDArray[np.int64], alpha: float
) -> list[float]:
    """Returns the share of new cases of each class whose set has their class."""
    reference = {0: np.sort(p[cal][y[cal] == 0]), 1: np.sort(1 - p[cal][y[cal] == 1])}
    both = class_p_values(p[new], reference)
    return [float(np.mean(both[label][y[new] == label] > alpha)) for label in (0, 1)]


def coverage(splits: int) -> list[dict[str, Any]]:
    """Returns mean and spread of coverage over random calibration and test splits, beside the theory's.

    Source of the theory: Vovk 2012; coverage given the calibration is Beta(n + 1 - l, l) with l = floor((n + 1) alpha).
    """
    log_odds, y = population(np.random.default_rng(SEED))
    p, classes, rows = expit(log_odds), [np.flatnonzero(y == label) for label in (0, 1)], []
    for n in CALIBRATION:
        for alpha in ALPHAS:
            found = []
            for split in range(splits):
                order = [
                    np.random.default_rng([SEED, split, label]).permutation(own) for label, own in enumerate(classes)
                ]
                cal, new = (np.concatenate([own[:n] for own in order]), np.concatenate([own[n:] for own in order]))
                found.append(covered(p, y, cal, new, alpha))
            share, out = np.array(found), int(np.floor((n + 1) * alpha))
            theory = beta(n + 1 - out, out)
            rows.append(
                {
                    "n": n,
                    "alpha": alpha,
                    "mean": share.mean(axis=0).tolist(),
                    "sd": share.std(axis=0, ddof=1).tolist(),
                    "theory_mean": float(theory.mean()),
                    "theory_sd": float(theory.std()),
                }
            )
    return rows


def shifted(splits: int, n: int = 100, alpha: float = 0.1) -> list[dict[str, Any]]:
    """Returns the coverage at a hospital whose log odds are moved or stretched, before and after its calibration."""
    rows, own_n = [], least_cases(alpha)
    for name, (move, slope) in SHIFTS.items():
        before, after = [], []
        for split in range(splits):
            rng = np.random.default_rng([SEED, 1, split])
            log_odds, y = population(rng, 2_000)
            at_home, label = population(rng, 2_000)
            p = np.concatenate([expit(at_home), expit(move + slope * log_odds)])
            both = np.concatenate([label, y])
            home = np.concatenate([np.flatnonzero(label == one)[:n] for one in (0, 1)])
            own = 2_000 + np.concatenate([np.flatnonzero(y == one)[:own_n] for one in (0, 1)])
            new = np.setdiff1d(np.arange(2_000, 4_000), own)
            before.append(covered(p, both, home, new, alpha))
            after.append(covered(p, both, own, new, alpha))
        told = {"development": np.mean(before, axis=0).tolist(), "own": np.mean(after, axis=0).tolist()}
        rows.append({"shift": name, "alpha": alpha, "n": n, "n_own": own_n, **told})
    return rows


def beside_mapie(splits: int = MAPIE_SPLITS, n: int = 100) -> dict[str, Any]:
    """Returns in how many sets MAPIE decides about a class as radmill does."""
    from mapie.classification import SplitConformalClassifier
    from sklearn.linear_model import LogisticRegression

    log_odds, y = population(np.random.default_rng(SEED))
    X = log_odds[:, None]
    model, same, of = LogisticRegression().fit(X[:500], y[:500]), 0, 0
    p = model.predict_proba(X)[:, 1]
    for split in range(splits):
        order = 500 + np.random.default_rng([SEED, 2, split]).permutation(len(y) - 500)
        new = order[2_000:]
        for label in (0, 1):
            cal = order[:2_000][y[order[:2_000]] == label][:n]
            reference = {one: np.sort(p[cal] if one == 0 else 1 - p[cal]) for one in (0, 1)}
            own = class_p_values(p[new], reference)[label] > 0.1
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it is told one class at a time
                judge = SplitConformalClassifier(model, confidence_level=0.9, conformity_score="lac", prefit=True)
                sets = judge.conformalize(X[cal], y[cal]).predict_set(X[new])[1][:, label, 0]
            same, of = same + int((sets == own).sum()), of + len(own)
    return {"same": same, "of": of, "splits": splits}


def doubts(draws: int, development: int = 150, pool: int = 60) -> dict[str, Any]:
    """Returns, by change of the images, which share of cases is doubted for what, and how often the hospital rings."""
    from scoring_images import CHANGES, PHASE, SETTINGS, Change, FastEngine, rows_of
    from scoring_population import fit, inputs, training_set

    from pipelines.scoring.doubt import doubt_codes
    from pipelines.scoring.doubt_images import image_doubts
    from pipelines.scoring.doubt_regions import strange_shapes
    from pipelines.scoring.doubting import distances
    from pipelines.training.acquisitions import told_acquisition
    from registry.reference import reference_of

    X, y = rows_of(Change(), 0, development)
    package = fit(training_set(X, y, FastEngine(SETTINGS).names(), 0.3), "lr")
    known = facts_of(Change(), 0, 40)
    acquisition = told_acquisition(known, known[["center", "case_id"]], [PHASE])
    reference, found = reference_of(package), {}
    features = {} if reference is None else reference.features
    moved = {f"features {by:g} sd higher": by for by in (0.5, 1.0, 2.0)}
    for name in (*CHANGES, *moved):
        new = rows_of(CHANGES.get(name, Change()), development, pool)[0] + moved.get(name, 0.0) * X.std(axis=0)
        codes = {}
        if name in CHANGES:
            seen = image_doubts(facts_of(CHANGES[name], development, LOOKED_AT), acquisition)
            codes = {code: len(patients) / LOOKED_AT for code, patients in seen.items()}
        frame = pd.DataFrame(new, columns=list(package.features))
        history = pd.DataFrame({"distance": distances(package, inputs(package, new)), "doubts": ""})
        far = np.array([bool(own) for own in doubt_codes(history, package, 0.05)])
        strange = strange_shapes(frame, features)
        any_of = far | strange | (max(codes.values(), default=0.0) > 0.5)
        rings = {}
        for n in LOOKS:
            drawn = [np.random.default_rng([SEED, n, draw]).choice(any_of, n).mean() > 0.5 for draw in range(draws)]
            rings[n] = float(np.mean(drawn))
        found[name] = {"far": float(far.mean()), "shape": float(strange.mean()), "codes": codes, "rings": rings}
    return {"development": development, "pool": pool, "changes": found}


def facts_of(change: Any, first: int, n: int) -> pd.DataFrame:
    """Returns how the images of some patients were acquired, as ingest would say."""
    from scoring_images import PHASE, SEED, some

    from pipelines.demo.scene import draw

    rows = []
    for patient in some(change.style, first, n):
        scene = draw(change.style, patient, SEED, is_hollow=False, has_second=False)[PHASE]
        hu, (x, y, z) = change.voxels(scene).astype(np.float64), change.style.spacing_mm
        own = {"center": "north", "case_id": str(patient.index), "phase": PHASE, "kvp": 120.0}
        own |= {"spacing_x_mm": x, "spacing_y_mm": y, "spacing_z_mm": z, "slice_thickness_mm": z}
        own |= {"image_mean": hu.mean(), "image_sd": hu.std(ddof=1), "image_min": hu.min(), "image_max": hu.max()}
        rows.append(own | {"volume_ml": float(scene.tumor.sum() * x * y * z / 1000)})
    return pd.DataFrame(rows).assign(kernel="", manufacturer="", model="")


def section(results: dict[str, Any]) -> str:
    """Returns the results as a part of the page, in Markdown."""
    lines = ["## Conformal sets", ""]
    lines += [
        f"Coverage by class over {results['splits']} random calibration and test splits, beside the theory's "
        "(the spread is that of Beta(n + 1 - l, l) with l = floor((n + 1) alpha)).",
        "",
        "| cases a class | nominal | negative | positive | theory | spread | theory's spread |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in results["coverage"]:
        mean, sd = row["mean"], row["sd"]
        lines.append(
            f"| {row['n']} | {1 - row['alpha']:.0%} | {mean[0]:.1%} | {mean[1]:.1%} | {row['theory_mean']:.1%} | "
            f"{sd[0]:.1%}, {sd[1]:.1%} | {row['theory_sd']:.1%} |"
        )
    mapie = results["mapie"]
    lines += [
        "",
        f"MAPIE decides about the class in {mapie['same']:,} of {mapie['of']:,} sets as radmill does.",
        "",
        "At another hospital the promise breaks, and its own labelled cases mend it:",
        "",
        "| scores there | nominal | development's sets: negative, positive | own 19 of each: negative, positive |",
        "|---|---|---|---|",
    ]
    for row in results["shifted"]:
        told = [", ".join(f"{share:.1%}" for share in row[name]) for name in ("development", "own")]
        lines.append(f"| {row['shift']} | {1 - row['alpha']:.0%} | {told[0]} | {told[1]} |")
    return "\n".join([*lines, "", *_doubted(results["doubts"])]) if "doubts" in results else "\n".join([*lines, ""])


def _doubted(doubt: dict[str, Any]) -> list[str]:
    lines = [
        "## Doubt about cases",
        "",
        f"Generated CTs, {doubt['development']} development patients; {doubt['pool']} new ones by each change, really "
        "made through images and extraction. `far` is at an error rate of 5 %; a hospital rings when more than half of "
        "its cases are doubted.",
        "",
        "| change | far | shape | acquisition | rings at n = " + ", ".join(map(str, LOOKS)) + " |",
        "|---|---|---|---|---|",
    ]
    for name, one in doubt["changes"].items():
        rings = ", ".join(f"{one['rings'][str(n)]:.0%}" for n in LOOKS)
        codes = ", ".join(f"{code} {share:.0%}" for code, share in one["codes"].items()) or "none"
        lines.append(f"| {name} | {one['far']:.0%} | {one['shape']:.0%} | {codes} | {rings} |")
    return [*lines, ""]


PARTS: dict[str, Callable[[int, int], Any]] = {
    "coverage": lambda splits, _: coverage(splits),
    "shifted": lambda splits, _: shifted(splits // 5),
    "mapie": lambda *_: beside_mapie(),
    "doubts": lambda _, draws: doubts(draws),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=tuple(PARTS), default=tuple(PARTS))
    parser.add_argument("--splits", type=int, default=500)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--out", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    content: dict[str, Any] = json.loads(chosen.out.read_text()) if chosen.out.exists() else {}
    with threadpool_limits(1):
        for part in chosen.parts:
            began = time.perf_counter()
            content[part] = PARTS[part](chosen.splits, chosen.draws)
            print(part, f"{time.perf_counter() - began:.0f} s")
    content |= {"splits": chosen.splits, "versions": installed("radmill", "numpy", "scipy", "MAPIE")}
    write_json(chosen.out, content)


if __name__ == "__main__":
    main()
