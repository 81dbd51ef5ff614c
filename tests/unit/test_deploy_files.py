"""Files of deploy/ that cannot be run here: what their readers' own schemas and commands say of them."""

import json
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from pipelines.execution.pool import DASK_CONFIG
from pipelines.params.operation import ClusterSection

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
SCHEMAS = json.loads((ROOT / "tests" / "golden" / "kubernetes_schemas.json").read_text())
FILES = sorted(path for path in DEPLOY.glob("*.yaml") if not path.name.endswith(".params.yaml"))


def documents(path: Path) -> list[dict[str, Any]]:
    filled_in = re.sub(r"@[A-Z]+@", "filled-in", path.read_text())
    return list(yaml.safe_load_all(filled_in))


def complaints(document: dict[str, Any]) -> list[str]:
    schema = SCHEMAS["kinds"][f"{document['apiVersion']} {document['kind']}"] | {"$defs": SCHEMAS["$defs"]}
    found = jsonschema.Draft202012Validator(schema).iter_errors(document)
    return [f"{'/'.join(map(str, error.absolute_path))}: {error.message}" for error in found]


def pod_specs(document: Any) -> list[dict[str, Any]]:
    """All pod specs in a document, wherever they are."""
    if isinstance(document, list):
        return [spec for item in document for spec in pod_specs(item)]
    if not isinstance(document, dict):
        return []
    own = [document] if "containers" in document else []
    return own + [spec for value in document.values() for spec in pod_specs(value)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_kubernetes_files_satisfy_the_schemas_and_say_that_they_were_not_run(path: Path) -> None:
    found = documents(path)
    assert found
    assert [complaints(document) for document in found] == [[] for _ in found]
    assert "NOT RUN ON A CLUSTER" in path.read_text()


@pytest.mark.parametrize(
    ("name", "place", "wrong"),
    [
        ("dask-cluster.yaml", ["spec", "worker", "spec", "containers", 0], {"readOnly": True}),
        ("dask-cluster.yaml", ["spec", "worker"], {"replicas": "4"}),
        ("radmill-run.job.yaml", ["spec", "template", "spec"], {"restart": "Never"}),
    ],
)
def test_the_schemas_find_what_is_wrong(name: str, place: list[Any], wrong: dict[str, Any]) -> None:
    """Protects the test above from schemas that let everything pass."""
    document = documents(DEPLOY / name)[0]
    at: Any = document
    for key in place:
        at = at[key]
    at.update(wrong)
    assert len(complaints(document)) == 1


@pytest.mark.parametrize("name", ["dask-cluster.yaml", "radmill-run.job.yaml"])
def test_pods_may_do_nothing_but_their_work(name: str) -> None:
    for spec in pod_specs(documents(DEPLOY / name)):
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        for container in spec["containers"] + spec.get("initContainers", []):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert set(container["resources"]["limits"]) == {"cpu", "memory"}


def test_the_operators_cluster_is_the_one_that_the_settings_name_and_speaks_tls_alone() -> None:
    spec = documents(DEPLOY / "dask-cluster.yaml")[0]["spec"]
    tls = {"ca": "ca.pem", "certificate": "c.pem", "key": "k.pem"}
    address = ClusterSection(kind="kubernetes", tls=tls).kubernetes.address
    worker = spec["worker"]["spec"]["containers"][0]
    scheduler = spec["scheduler"]["spec"]["containers"][0]
    assert worker["args"][0] == address
    assert {"name": "DASK_SCHEDULER_ADDRESS", "value": address} in worker["env"]
    for container in (worker, scheduler):
        assert "--protocol=tls" in container["args"]
        assert "--no-dashboard" in container["args"]
    assert [port["name"] for port in spec["scheduler"]["service"]["ports"]] == ["tcp-comm"]


def test_the_operators_workers_have_the_settings_of_local_ones() -> None:
    """A worker that spills or pauses would end cases that end well elsewhere."""
    spec = documents(DEPLOY / "dask-cluster.yaml")[0]["spec"]
    given = {}
    for part in ("scheduler", "worker"):
        for item in spec[part]["spec"]["containers"][0]["env"]:
            if item["name"].startswith("DASK_DISTRIBUTED"):
                key = item["name"].removeprefix("DASK_").lower().replace("__", ".").replace("_", "-")
                given[key] = yaml.safe_load(item["value"].replace("None", "null"))
    assert {key: given[key] for key in DASK_CONFIG} == DASK_CONFIG


def test_the_params_for_slurm_are_legal() -> None:
    cluster = ClusterSection(**yaml.safe_load((DEPLOY / "radmill-slurm.params.yaml").read_text())["cluster"])
    assert cluster.kind == "slurm"
    assert cluster.window >= cluster.slurm.jobs * cluster.slurm.cores


def test_a_driver_in_a_job_is_interrupted_before_its_time_is_over(tmp_path: Path) -> None:
    """SLURM signals the shell alone, and a shell's children in the background ignore interrupts unless told not to."""
    fake = tmp_path / "radmill"
    fake.write_text("#!/bin/sh\ntrap 'echo interrupted; exit 3' INT\necho ready\nwhile :; do sleep 0.05; done\n")
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    script = DEPLOY / "radmill-run.sbatch"
    env = {"PATH": "/usr/bin:/bin", "RADMILL": str(fake), "SLURM_SUBMIT_DIR": str(tmp_path)}
    with subprocess.Popen(["bash", str(script)], env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(2)
        rest, _ = process.communicate(timeout=10)
    assert rest == "interrupted\n"
    assert process.returncode == 3
    assert re.search(r"^#SBATCH --signal=B:INT@\d+$", script.read_text(), re.MULTILINE)


def test_the_image_is_made_of_files_that_there_are() -> None:
    text = (DEPLOY / "Containerfile").read_text()
    assert "NOT BUILT" in text
    assert (ROOT / "requirements.lock").is_file()
    extras = set(re.search(r"radmill\[([a-z,]+)\]", text)[1].split(","))
    assert extras <= set(re.findall(r"^([a-z]+) = \[", (ROOT / "pyproject.toml").read_text(), re.MULTILINE))
