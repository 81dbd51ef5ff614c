"""Workers that share only TCP and a store: the same bytes, no path and no file of the study there, strangers kept out.

The long form, with a killed worker, a cut connection and a killed driver, is `make prove-many-machines`.
"""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("distributed")
pytest.importorskip("moto")

from pipelines.cluster_health import cluster_findings
from pipelines.execution.admission import Gate, probe_function
from pipelines.execution.carried import PlainStoreError, check_way
from pipelines.execution.certificates import CertificateError, HandshakeError, NobodyThereError, knock, security
from pipelines.execution.cluster import open_runner
from pipelines.execution.extract import extract_cases
from pipelines.execution.remote import connected
from pipelines.params.operation import ClusterSection, TlsSection
from pipelines.radiomics.settings import ExtractionSettings
from pipelines.runner import CaseTask, Receipt, SerialRunner
from proofs.certificates import make_certificates
from proofs.machines import Machines, cluster, machines
from tests.contract.stored_study import FEW, Study

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """A scheduler, a worker and a store; the worker does not see the folder `here` beside them."""
    folder = tmp_path_factory.mktemp("machines")
    with machines(folder / "there", folder / "here", ROOT) as made, pytest.MonkeyPatch.context() as patch:
        for name, value in made.env(folder).items():
            if name.startswith("AWS_") or name == "NO_PROXY":
                patch.setenv(name, value)
        make_certificates(folder / "there" / "strangers")
        made.start_worker("one")
        yield made


def measured(study: Study, runner: Any) -> dict[str, str]:
    settings = {"early": ExtractionSettings.from_mapping(FEW)}
    study.write()
    extract_cases(study.places, settings, "pyradiomics", "1", runner, perturbations=["noise:1"])
    return study.bytes()


def test_a_worker_without_the_study_s_files_gives_the_same_bytes(there: Machines) -> None:
    """Holds for a perturbed region, one that cannot be measured and one whose file is damaged, too."""
    study = Study(there.hidden / "study")
    study.add("north", "a1")
    study.add("north", "b2", empty=True)
    damaged = study.add("north", "c3")
    with (study.places.cases / damaged["mask"]).open("ab") as file:
        file.write(b"x")
    expected = measured(study, SerialRunner())
    for path in study.places.features.rglob("*.parquet"):
        path.unlink()
    told: list[str] = []
    section = ClusterSection(**cluster(there))
    with open_runner(section, study.root, told.append) as runner:
        assert measured(study, runner) == expected
        assert told == []
        assert there.stored() == []
        assert not list((study.root / ".radmill" / "carried").iterdir())
    assert "a-secret-of-the-proof" not in there.log("one")
    assert str(study.root) not in there.log("one")
    assert [row[0] for row in study.qc().values()] == ["ok", "refused", "failed"]


def test_a_case_that_never_ends_is_ended_by_the_worker_s_nanny(there: Machines) -> None:
    def work(number: int) -> Receipt:
        return {"sum": sum(range(10**15 if number == 0 else number))}  # the first never lets another thread run

    tasks = [CaseTask(name=str(n), payload={"number": n}, timeout_s=20.0 if n else 0.5) for n in range(2)]
    section = ClusterSection(**{**cluster(there), "store": ""})
    with open_runner(section, there.folder) as runner:
        ended = {outcome.task.name: outcome for outcome in runner.run(work, tasks)}
    assert ended["0"].error is not None
    assert ended["0"].error.code == "timeout"
    assert ended["1"].receipt == {"sum": 0}


def test_doctor_says_who_is_there_and_whether_the_store_takes_anything(there: Machines) -> None:
    found = {one.subject: one for one in cluster_findings(ClusterSection(**cluster(there)), there.folder)}
    assert found["cluster"].found.startswith("1 worker of use, ")
    assert there.endpoint in found["cluster: store"].found
    assert {one.verdict for one in found.values()} == {"fit"}
    bad = ClusterSection(**cluster(there, tls=there.folder / "strangers"))
    assert "not one of cluster.tls.ca" in next(cluster_findings(bad, there.folder)).found


def test_a_worker_of_another_version_is_refused_by_name(there: Machines) -> None:
    own = {**probe_function()()["versions"], "numpy": "1.0"}
    told: list[str] = []
    gate = Gate(told.append, own=own)
    client = connected(f"tls://127.0.0.1:{there.port}", security(TlsSection(**cluster(there)["tls"]), there.folder))
    try:
        workers = client.scheduler_info(n_workers=-1)["workers"]
        deadline = time.monotonic() + 10
        while not gate.refused() and time.monotonic() < deadline:
            assert gate.admitted(client, workers) == {}
            time.sleep(0.05)
    finally:
        client.close()
    import numpy as np

    name = socket.gethostname()
    assert gate.refused() == [f"worker one on {name} has numpy {np.__version__}, this machine 1.0"]
    assert told == [f"not used: {gate.refused()[0]}"]


def test_who_has_no_certificate_or_another_authority_s_is_kept_out(there: Machines) -> None:
    address = f"tls://127.0.0.1:{there.port}"
    knock(address, security(TlsSection(**cluster(there)["tls"]), there.folder))
    strange = there.folder / "strangers"
    strangers = {"ca": f"{there.tls}/ca.pem"}
    strangers |= {"certificate": f"{strange}/client.pem", "key": f"{strange}/client.key"}
    with pytest.raises(HandshakeError, match="refuses this machine's certificate"):
        knock(address, security(TlsSection(**strangers), there.folder))
    context = ssl.create_default_context(cafile=f"{there.tls}/ca.pem")
    with (
        socket.create_connection(("127.0.0.1", there.port), timeout=5) as plain,
        pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"),
        context.wrap_socket(plain, server_hostname="127.0.0.1") as safe,
    ):
        safe.recv(1)


def test_what_does_not_speak_tls_or_is_not_there_is_said_so(there: Machines) -> None:
    def answer() -> None:
        one, _ = server.accept()
        with one:
            one.recv(10)
            one.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    own = security(TlsSection(**cluster(there)["tls"]), there.folder)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(HandshakeError, match="does not speak TLS"):
            knock(f"tls://127.0.0.1:{port}", own)
    with pytest.raises(NobodyThereError, match="Connection refused"):
        knock(f"tls://127.0.0.1:{port}", own)


def test_a_key_that_others_can_read_or_that_is_another_certificate_s_is_refused(tmp_path: Path) -> None:
    make_certificates(tmp_path, ("client", "other"))
    tls = TlsSection(ca="ca.pem", certificate="client.pem", key="client.key")
    security(tls, tmp_path)
    with pytest.raises(CertificateError, match="key values mismatch"):
        security(tls.model_copy(update={"key": "other.key"}), tmp_path)
    with pytest.raises(CertificateError, match="there is no file"):
        security(tls.model_copy(update={"ca": "none.pem"}), tmp_path)
    (tmp_path / "client.key").chmod(0o640)
    with pytest.raises(CertificateError, match=r"others may read the key \(mode 640\)\n  remedy: chmod 600"):
        security(tls, tmp_path)


def test_a_store_without_encryption_is_for_this_machine_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("featurestore.blobs.Blobs.endpoint", lambda _: "http://store.example:9000")
    with pytest.raises(PlainStoreError, match="crops of patients would go there"):
        check_way(ClusterSection(store="s3://bucket/x"))
    assert check_way(ClusterSection(store="s3://bucket/x", insecure=True))


@pytest.mark.parametrize(
    ("section", "complaint"),
    [
        ({"kind": "address"}, "none like tls://scheduler:8786"),
        ({"kind": "address", "address": "tls://host:1"}, "tls lacks ca, certificate, key"),
        ({"kind": "address", "address": "tcp://host:1"}, "whoever reaches that network"),
        ({"kind": "address", "address": "tcp://10.0.0.1:1"}, "insecure: true"),
        ({"tls": {"key": "../client.key"}}, "leads out of the study"),
        ({"store": "s3://key:secret@bucket"}, "never from here"),
        ({"stores": ""}, "Extra inputs"),
    ],
)
def test_settings_that_would_be_unsafe_are_refused(section: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        ClusterSection(**section)
    assert ClusterSection(kind="address", address="tcp://[::1]:8786").address
    assert ClusterSection(kind="address", address="tcp://10.0.0.1:1", insecure=True).insecure
