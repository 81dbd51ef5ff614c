"""Which workers may be given cases: those with the same versions, and a nanny that can end them.

What decides a value is compared before any case is handed out. Dask's own report comes first, because a function sent
to another Python may break there; then a function that needs nothing of radmill tells the rest.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

_ASK_S = 30.0
"""How long a worker may take to tell its versions; it is asked again after that."""

DISTRIBUTIONS = (
    "radmill", "numpy", "scipy", "SimpleITK", "PyWavelets", "numba", "dask", "distributed", "pydicom",
)  # fmt: skip
"""What must be the same; Python, the feature set and the code itself besides."""

_ROOMS = (
    ("featurestore", ""), ("pipelines", "execution"), ("pipelines", "images"), ("pipelines", "ingest"),
    ("pipelines", "radiomics"),
)  # fmt: skip
"""Packages and folders in them whose code runs on workers; where files are shared, ingest does, too."""

Told = dict[str, str]


@dataclass(frozen=True)
class Verdict:
    """What was found out about a worker; `against` is why it gets no case."""

    host: str
    versions: Told
    against: str = ""


@dataclass
class Gate:
    """Looks at workers as they appear.

    Args:
        tell: Is told of workers that are not used.
        shared: A file that workers must see, where nothing else carries cases to them.
    """

    tell: Callable[[str], None]
    shared: str = ""
    own: Told = field(default_factory=lambda: probe_function()()["versions"])
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    _asked: dict[str, "Future[Verdict | None]"] = field(default_factory=dict)

    def admitted(self, client: Any, workers: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """Returns those of the scheduler's workers that may be given cases; unknown ones are asked meanwhile.

        Args:
            client: Reaches them.
            workers: By address what the scheduler says of each.
        """
        lives = {life_of(address, told): (address, told) for address, told in workers.items()}
        self.verdicts = {life: verdict for life, verdict in self.verdicts.items() if life in lives}
        self._asked = {life: answer for life, answer in self._asked.items() if life in lives}
        for life, (address, told) in lives.items():
            if life in self._asked and self._asked[life].done():
                self._hear(life, str(told["name"]), self._asked.pop(life))
            elif life not in self.verdicts and life not in self._asked:
                self._asked[life] = asyncio.run_coroutine_threadsafe(
                    _examined(client, address, told, self), client.loop.asyncio_loop
                )
        good = {life for life, verdict in self.verdicts.items() if not verdict.against}
        return {address: told for life, (address, told) in lives.items() if life in good}

    @property
    def is_waiting(self) -> bool:
        """Whether a worker has not answered yet."""
        return bool(self._asked)

    def refused(self) -> list[str]:
        """Returns why each worker that is not used is not."""
        return sorted({verdict.against for verdict in self.verdicts.values() if verdict.against})

    def _hear(self, life: str, name: str, answer: "Future[Verdict | None]") -> None:
        verdict = None if answer.cancelled() or answer.exception() else answer.result()
        if verdict is None:
            return  # it is asked again
        if verdict.against:
            verdict = Verdict(verdict.host, verdict.versions, f"worker {name} on {verdict.host} {verdict.against}")
            if verdict.against not in self.refused():
                self.tell(f"not used: {verdict.against}")
        self.verdicts[life] = verdict


def life_of(address: str, told: dict[str, Any]) -> str:
    """Returns what is another one after each restart of a worker: its scratch folder has a name of its own."""
    return f"{address} {told['local_directory']}"


def difference(own: Told, theirs: Told) -> str:
    """Says in which versions somebody differs from this machine; nothing when in none."""
    differing = [name for name in own if own[name] != theirs.get(name, "absent")]
    if differing == ["code"]:
        return f"has other code under the same version of radmill, {own['radmill']}"
    there = [f"{name} {theirs.get(name, 'absent')}" for name in differing if name != "code"]
    here = [f"{name} {own[name]}" if len(there) > 1 else own[name] for name in differing if name != "code"]
    return f"has {', '.join(there)}, this machine {', '.join(here)}" if there else ""


def probe_function(shared: str = "") -> Callable[[], dict[str, Any]]:
    """Returns a function that travels by value and tells host and versions, whether or not radmill is there.

    Args:
        shared: A file; whether it is seen there is told, too.
    """
    distributions, rooms = DISTRIBUTIONS, _ROOMS

    def probe() -> dict[str, Any]:
        import hashlib
        import importlib.metadata
        import importlib.util
        import pathlib
        import platform
        import socket

        def version(name: str) -> str:
            try:
                return importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                return "absent"

        def code() -> str:
            digest = hashlib.sha256()
            for package, room in rooms:
                found = importlib.util.find_spec(package)
                places = list(found.submodule_search_locations or ()) if found else []
                for path in sorted(pathlib.Path(places[0], room).rglob("*.py")) if places else ():
                    digest.update(path.relative_to(places[0]).as_posix().encode() + path.read_bytes())
            return digest.hexdigest()[:12]

        def feature_set() -> str:
            try:
                return str(importlib.import_module("pipelines.record").FEATURE_SET)
            except ImportError:
                return "absent"

        versions = {"python": platform.python_version(), "feature_set": feature_set(), "code": code()}
        versions |= {name: version(name) for name in distributions}
        sees = not shared or pathlib.Path(shared).exists()
        return {"host": socket.gethostname(), "versions": versions, "sees": sees}

    return probe


async def _examined(client: Any, address: str, told: dict[str, Any], gate: Gate) -> Verdict | None:
    """Returns what is found out about a worker; nothing when it does not answer."""
    host = str(told["host"])
    async with asyncio.timeout(_ASK_S):
        answers = await client.scheduler.broadcast(msg={"op": "versions"}, workers=[address], on_error="ignore")
        if address not in answers:
            return None
        python = {"python": ".".join(answers[address]["host"]["python"].split(".")[:3])}
        if against := difference({"python": gate.own["python"]}, python):
            return Verdict(host, python, against)
        answers = await client.run(probe_function(gate.shared), workers=[address], on_error="ignore")
    if address not in answers:
        return None
    answer = answers[address]
    against = difference(gate.own, answer["versions"])
    if not against and not told["nanny"]:
        against = "was started without a nanny, so that a case that never ends could not be ended there"
    if not against and not answer["sees"]:
        against = "does not see the study's folder: share it under the same path, or set cluster.store"
    return Verdict(str(answer["host"]), answer["versions"], against)
