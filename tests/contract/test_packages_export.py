"""One file carries a package to a hospital and nothing else: the same bytes every time, no bomb, no way out."""

import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from registry import onnx_export
from registry.errors import DamagedPackageError
from registry.export import export_package, import_package
from registry.onnx_export import NoGraphError, OnnxMissingError, ParityError, export_onnx
from registry.package import load_package, save_package
from registry.predict import predict
from registry.signing import KeyFileError, Signature, SignatureError, verify_signature


@pytest.fixture
def folder(tmp_path: Path, candidates: Any) -> Path:
    save_package(
        tmp_path / "package", candidates.manifest("lr", "0" * 64), candidates.arrays(), np.zeros((1, 3)), "# c\n"
    )
    return tmp_path / "package"


def test_export_and_import_give_the_same_predictions(tmp_path: Path, folder: Path) -> None:
    digest = export_package(folder, tmp_path / "model.radmill")
    X = np.random.default_rng(0).normal(size=(9, 3))
    carried = import_package(tmp_path / "model.radmill", digest).package
    assert np.array_equal(predict(carried, X), predict(load_package(folder), X))


def test_a_signature_holds_for_its_package_and_key_alone(tmp_path: Path, folder: Path, candidates: Any) -> None:
    """The keys come from openssl, whose own verification must agree with ours."""
    private, public = openssl_key(tmp_path, "ours")
    _, stranger = openssl_key(tmp_path, "theirs")
    digest = export_package(folder, tmp_path / "signed.radmill", key_file=private)
    carried = import_package(tmp_path / "signed.radmill")
    assert carried.signature is not None
    assert verify_signature(digest, carried.signature, public) == carried.signature.key
    assert openssl_verifies(tmp_path, public, digest, carried.signature.value)
    with pytest.raises(SignatureError, match="not signed by key"):
        verify_signature(digest, carried.signature, stranger)
    with pytest.raises(SignatureError, match="not signed by key"):
        verify_signature("0" * 64, carried.signature, public)


def test_an_unsigned_package_is_not_verified(tmp_path: Path, folder: Path) -> None:
    _, public = openssl_key(tmp_path, "ours")
    digest = export_package(folder, tmp_path / "plain.radmill")
    with pytest.raises(SignatureError, match="is not signed"):
        verify_signature(digest, import_package(tmp_path / "plain.radmill").signature, public)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"algorithm":"ed25519","key":"k","signature":"?"}', b"{" * 3000])
def test_a_forged_signature_file_is_refused(data: bytes) -> None:
    with pytest.raises(SignatureError):
        Signature.from_bytes(data)


@pytest.mark.parametrize("text", ["", "no key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_what_is_no_key_is_refused_by_name(tmp_path: Path, folder: Path, text: str) -> None:
    (tmp_path / "key.pem").write_text(text)
    with pytest.raises(KeyFileError, match=r"key\.pem"):
        export_package(folder, tmp_path / "x.radmill", key_file=tmp_path / "key.pem")


def openssl_key(folder: Path, name: str) -> tuple[Path, Path]:
    private, public = folder / f"{name}.pem", folder / f"{name}.pub.pem"
    run = ["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(private)]
    subprocess.run(run, check=True, capture_output=True)
    run = ["openssl", "pkey", "-in", str(private), "-pubout", "-out", str(public)]
    subprocess.run(run, check=True, capture_output=True)
    return private, public


def openssl_verifies(folder: Path, public: Path, digest: str, signature: bytes) -> bool:
    message, value = folder / "message", folder / "signature"
    message.write_bytes(b"radmill model package\n" + digest.encode())
    value.write_bytes(signature)
    run = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", str(public), "-rawin"]
    run += ["-in", str(message), "-sigfile", str(value)]
    return subprocess.run(run, check=False, capture_output=True).returncode == 0


def test_exporting_twice_gives_the_same_bytes(tmp_path: Path, folder: Path) -> None:
    for name in ("a", "b"):
        export_package(folder, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_another_digest_is_refused(tmp_path: Path, folder: Path) -> None:
    export_package(folder, tmp_path / "model.radmill")
    with pytest.raises(DamagedPackageError, match="has digest"):
        import_package(tmp_path / "model.radmill", "0" * 64)


def test_a_compressed_bomb_is_refused_unread(tmp_path: Path, folder: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in folder.iterdir():
            archive.writestr(path.name, b"0" * (80 << 20) if path.name == "card.md" else path.read_bytes())
    with pytest.raises(DamagedPackageError, match="is compressed"):
        import_package(tmp_path / "bomb")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ["../card.md", "/etc/passwd", "package/card.md", "manifest.json"])
def test_other_names_are_refused(tmp_path: Path, folder: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "odd", "w") as archive:
        for path in folder.iterdir():
            archive.writestr(name if path.name == "card.md" else path.name, path.read_bytes())
    with pytest.raises(DamagedPackageError, match="holds"):
        import_package(tmp_path / "odd")


def test_damaged_archives_never_crash(tmp_path: Path, folder: Path) -> None:
    """Any damage inside the four files is refused; damage to the zip's own notes may at most be harmless."""
    digest = export_package(folder, tmp_path / "model.radmill")
    sound = (tmp_path / "model.radmill").read_bytes()
    rng = np.random.default_rng(1)
    for _ in range(200):
        data = bytearray(sound)
        data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
        (tmp_path / "damaged").write_bytes(data[: rng.integers(len(data) // 2, len(data) + 1)])
        try:
            assert import_package(tmp_path / "damaged", digest).digest == digest
        except DamagedPackageError:
            continue


def test_a_graph_that_answers_otherwise_is_not_written(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

    def wrong(graph: Any, _package: Any, X: str) -> str:
        return str(graph.add("ReduceMean", X, axes=[1], keepdims=0))

    monkeypatch.setitem(onnx_export._SCORES, "lr", wrong)
    with pytest.raises(ParityError, match="allowed 1e-09"):
        export_onnx(load_package(folder), tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


@pytest.mark.parametrize(("part", "told"), [("kind", "sees more than a table"), ("harmonization", "told no center")])
def test_what_has_no_form_as_a_graph_is_refused(tmp_path: Path, folder: Path, part: str, told: str) -> None:
    package = load_package(folder)
    changed = replace(package, manifest={**package.manifest, part: "deep"})
    with pytest.raises(NoGraphError, match=told):
        export_onnx(changed, tmp_path / "model.onnx")


def test_without_its_libraries_a_graph_is_refused_by_name(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(OnnxMissingError, match=r"radmill\[onnx\]"):
        export_onnx(load_package(folder), tmp_path / "model.onnx")
