"""Writes docs/performance-registry.md from the results of `benchmarks/model_registry.py`.

python benchmarks/model_registry_page.py
"""

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "model_registry.json"
PAGE = ROOT / "docs" / "performance-registry.md"
HEAD = """# Performance of the registry

This page is written by `benchmarks/model_registry_page.py` from the results of `benchmarks/model_registry.py`.

Machine: {machine}, one thread, medians of wall-clock milliseconds.
scikit-learn {sklearn}, MLflow {mlflow}, torch {torch}.

## Packages beside MLflow

Models on 1,000 columns and 30 components, 200 patients; the network is a ResNet-10 on 3 × 64 × 64. *Save*: radmill
writes the package canonically, with its digest, and predicts its golden inputs; MLflow logs to SQLite with the
requirements given, pickled by `cloudpickle` (scikit-learn) or `pickle` (PyTorch). *Load*: radmill checks every digest,
shape, index and golden input first; MLflow checks nothing. *Predict*: 100 patients, each computed as if alone in
radmill; the network one patient at a time in both.

| model | save | MLflow | load and verify | MLflow | predict 100 | MLflow | package, kB |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
"""
OPERATIONS = """
## Commands at {versions} versions

A ledger of {versions} versions ({kilobytes} kB), each with package and evidence, in git.
DVC's own `dvc add` (about a second for a registration) is left out.

| operation | milliseconds |
| --- | ---: |
"""
NAMES = {
    "state": "fold the ledger, checking its chain (`radmill models`, `status`)",
    "select_by_name": "find a version by name",
    "register": "register",
    "promote": "promote, with gates",
    "challenge": "challenge",
    "rollback_and_back": "promote another and roll back",
    "verify": "`registry verify`: every line, package, evidence and training set",
}


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:,.1f}" if seconds < 0.1 else f"{seconds * 1000:,.0f}"


def page(found: dict[str, Any]) -> str:
    told = found["machine"]
    text = HEAD.format(
        machine=f"{told['machine']}, Python {told['python']}",
        sklearn=told["scikit-learn"],
        mlflow=told["mlflow"],
        torch=told["torch"],
    )
    for name, one in found["kinds"].items():
        own, other = one["radmill"], one["mlflow"]
        pairs = [("save", "save"), ("load_and_verify", "load"), ("predict", "predict")]
        cells = [milliseconds(value) for mine, theirs in pairs for value in (own[mine], other[theirs])]
        text += f"| {name} | {' | '.join(cells)} | {own['bytes'] / 1000:,.0f} |\n"
    own = found["operations"]
    text += OPERATIONS.format(versions=f"{own['versions']:,}", kilobytes=f"{own['ledger_bytes'] / 1000:,.0f}")
    return text + "".join(f"| {words} | {milliseconds(own[name])} |\n" for name, words in NAMES.items())


if __name__ == "__main__":
    PAGE.write_text(page(json.loads(RESULTS.read_bytes())), encoding="utf-8")
