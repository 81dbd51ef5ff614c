"""The shape of the house: who may import whom, who owns a library, and how large a room may be."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("featurestore", "registry", "pipelines")
MAXIMUM_FILE_LINES = 350
MAXIMUM_FUNCTION_LINES = 40

LEVELS = {
    "featurestore": 1,
    "registry": 2,
    "pipelines.record": 3,
    "pipelines.workspace": 3,
    "pipelines.params": 3,
    "pipelines.runner": 3,
    "pipelines.quiet_dvc": 3,
    "pipelines.images": 4,
    "pipelines.evaluation": 4,
    "pipelines.ingest": 5,
    "pipelines.radiomics": 5,
    "pipelines.stored_views": 4,
    "pipelines.shuffled_views": 4.5,
    "pipelines.execution": 6,
    "pipelines.imports": 6,
    "pipelines.looking": 6,
    "pipelines.models": 7,
    "pipelines.training": 8,
    "pipelines.evaluation.cohorts": 7.2,
    "pipelines.evaluation.negative_controls": 7.4,
    "pipelines.evaluation.supplements": 7.5,
    "pipelines.evaluation.evaluate": 8,
    "pipelines.scoring": 9,
    "pipelines.reporting": 10,
    "pipelines.demo": 11,
    "pipelines.study": 12,
    "pipelines.candidates": 12,
    "pipelines.retraining": 11,
    "pipelines.remaking": 12,
    "pipelines.cards": 11,
    "pipelines.lineage": 12,
    "pipelines.pairs": 12,
    "pipelines.status": 12,
    "pipelines.plan": 12,
    "pipelines.exporting": 12,
    "pipelines.comparing": 13,
    "pipelines.contrasting": 13,
    "pipelines.window": 12,
    "pipelines.unfinished": 12,
    "pipelines.doctor": 12,
    "pipelines.cluster_health": 12.3,
    "pipelines.study_health": 12.5,
    "pipelines.cli": 14,
}

OWNERS = {
    "dask": ("pipelines.execution",),
    "distributed": ("pipelines.execution",),
    "dask_jobqueue": ("pipelines.execution",),
    "optuna": ("pipelines.training.tune", "pipelines.training.search"),
    "sklearn": ("pipelines.models", "pipelines.training"),
    "mlflow": ("pipelines.training.tracking", "registry"),
    "torch": (
        "pipelines.models.resnet",
        "pipelines.models.resnet_training",
        "pipelines.models.augmentation",
        "pipelines.models.weights",
        "pipelines.models.gradcam",
    ),
    "monai": ("pipelines.models.resnet",),
    "pydicom": ("pipelines.ingest", "pipelines.demo"),
    "highdicom": ("pipelines.ingest", "pipelines.demo"),
    "radiomics": ("pipelines.radiomics.reference",),
    "pyarrow": ("featurestore",),
    "duckdb": ("featurestore",),
    "fsspec": ("featurestore",),
    "openpyxl": ("pipelines.imports",),
    "cryptography": ("registry.signing",),
    "onnx": ("registry.onnx_export",),
    "onnxruntime": ("registry.onnx_export",),
    "click": ("pipelines.cli",),
    "jinja2": ("pipelines.reporting",),
    "matplotlib": ("pipelines.reporting",),
    "PIL": ("pipelines.reporting",),
}


def modules() -> Iterator[tuple[str, Path, ast.Module]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            yield name, path, ast.parse(path.read_text())


def imports(tree: ast.Module, module: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively; the full path says where from"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(module: str) -> str | None:
    """The longest declared room that holds the module."""
    parts = module.split(".")
    return next((name for n in range(len(parts), 0, -1) if (name := ".".join(parts[:n])) in LEVELS), None)


def within(module: str, room_name: str) -> bool:
    return module == room_name or module.startswith(f"{room_name}.")


def upward_imports() -> Iterator[str]:
    for module, _, tree in modules():
        here = room(module)
        for target in imports(tree, module) if here else ():
            there = room(target)
            if there is None or there == here:
                continue
            if LEVELS[there] >= LEVELS[here]:
                yield f"{module} imports {target}: room {here} (level {LEVELS[here]}) may not know {there}"


def test_every_module_belongs_to_a_declared_room() -> None:
    homeless = [module for module, _, _ in modules() if room(module) is None and module != "pipelines"]
    assert not homeless


def test_imports_go_down_only() -> None:
    assert not sorted(set(upward_imports()))


def test_a_library_has_one_owner() -> None:
    strangers = [
        f"{module} imports {target}, which belongs to {', '.join(OWNERS[top])}"
        for module, _, tree in modules()
        for target in imports(tree, module)
        if (top := target.split(".")[0]) in OWNERS and not any(within(module, owner) for owner in OWNERS[top])
    ]
    assert not sorted(set(strangers))


def test_files_are_read_in_one_sitting() -> None:
    long = {str(path.relative_to(ROOT)): n for _, path, _ in modules() if (n := lines(path)) > MAXIMUM_FILE_LINES}
    assert not long


def test_functions_fit_a_screen() -> None:
    long = [
        f"{module}.{node.name}: {span} lines"
        for module, _, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (span := length(node)) > MAXIMUM_FUNCTION_LINES
    ]
    assert not long


def lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of the body, docstring left out."""
    body = node.body[1:] if ast.get_docstring(node) else node.body
    return (node.end_lineno or node.lineno) - body[0].lineno + 1 if body else 0


@pytest.mark.parametrize(
    ("source", "complaint"),
    [("import pipelines.cli", "upward"), ("import dask", "owner")],
)
def test_the_house_rules_can_fail(source: str, complaint: str) -> None:
    """A rule that nothing can break protects nothing."""
    names = list(imports(ast.parse(source), "featurestore.x"))
    if complaint == "upward":
        assert LEVELS[room(names[0]) or ""] > LEVELS["featurestore"]
    else:
        assert not any(within("featurestore.x", owner) for owner in OWNERS[names[0]])


def test_help_needs_no_heavy_library() -> None:
    """`radmill --help` must answer at once, so the command line imports click and the errors only."""
    tree = ast.parse((ROOT / "pipelines/cli/__init__.py").read_text())
    top = {name.split(".")[0] for name in imports(tree, "pipelines.cli")}
    assert top <= {"os", "sys", "importlib", "collections", "typing", "click", "featurestore"}
