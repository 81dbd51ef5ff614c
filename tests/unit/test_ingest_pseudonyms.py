"""Keys are made once, kept secret and never swapped unnoticed; messages name nobody."""

import pytest
import yaml

from featurestore.errors import InputError
from pipelines.ingest.pseudonyms import (
    KeyDiffersError,
    KeyMissingError,
    case_id,
    create_key,
    ensure_keys,
    import_key,
    key_id,
    key_path,
    load_key,
    path_id,
    without_identity,
)
from pipelines.params import load_params
from pipelines.workspace import Workspace


def test_case_id_is_hmac_sha256() -> None:
    """Checked against RFC 4231's construction by the standard library."""
    import hashlib
    import hmac

    wanted = hmac.new(b"k" * 32, b"patient\0P-1", hashlib.sha256).hexdigest()
    assert case_id(b"k" * 32, " P-1 \0") == wanted[:16]
    assert case_id(b"k" * 32, "Zoe\u0308") == case_id(b"k" * 32, "Zo\u00eb")
    assert path_id(b"k" * 32, "P-1") != wanted


def test_key_is_private_and_never_replaced(tmp_path) -> None:
    key = create_key(tmp_path / "keys", "alpha")
    assert key_path(tmp_path / "keys", "alpha").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    assert load_key(tmp_path / "keys", "alpha", key_id(key)) == key
    assert key.hex() not in key_id(key)
    with pytest.raises(InputError):
        create_key(tmp_path / "keys", "alpha")


@pytest.mark.parametrize("content", ["", "zz", "abcd"])
def test_file_that_holds_no_key(tmp_path, content) -> None:
    key_path(tmp_path, "alpha").write_text(content)
    with pytest.raises(KeyMissingError):
        load_key(tmp_path, "alpha")


def test_import_brings_a_key_and_refuses_another(tmp_path) -> None:
    key = create_key(tmp_path / "there", "alpha")
    source = key_path(tmp_path / "there", "alpha")
    assert import_key(tmp_path / "here", "alpha", source, key_id(key)) == key_id(key)
    create_key(tmp_path / "there", "beta")
    with pytest.raises(KeyDiffersError):
        import_key(tmp_path / "here", "alpha", key_path(tmp_path / "there", "beta"), key_id(key))
    assert load_key(tmp_path / "here", "alpha") == key
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["alpha.key"]
    with pytest.raises(KeyMissingError):
        import_key(tmp_path / "here", "alpha", tmp_path / "absent")


def test_ensure_keys_writes_key_ids_and_keeps_comments(tmp_path) -> None:
    from pathlib import Path

    template = Path(__file__).resolve().parents[2] / "params.yaml"
    (tmp_path / "params.yaml").write_text(template.read_text(encoding="utf-8"), encoding="utf-8")
    workspace = Workspace(tmp_path)
    named = ensure_keys(workspace, load_params(workspace.params))
    text = workspace.params.read_text(encoding="utf-8")
    centers = yaml.safe_load(text)["centers"]
    assert {c: s["key_id"] for role in centers.values() for c, s in role.items()} == named
    assert "# models are made here" in text
    assert ensure_keys(workspace, load_params(workspace.params)) == named
    assert workspace.params.read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("cannot open /data/raw/a/P-12/x.dcm", "cannot open …"),
        ("series 1.2.840.10008.5.1.4 mixed", "series … mixed"),
        ("CT of P-12", "CT of …"),
        ("p-12_GTV", "…_GTV"),
        ("slice 12 of 3/4, 0.5 mm", "slice 12 of 3/4, 0.5 mm"),
        ("P-123 is another", "P-123 is another"),
    ],
)
def test_messages_name_nobody(text, wanted) -> None:
    assert without_identity(text, ["P-12", "12", "3"]) == wanted
