"""Pseudonyms: keyed hashes under one secret key a center, and the keeping of these keys.

A key lies in `private/keys/<center>.key` (hexadecimal, mode 600), in neither git nor DVC. Its public `key_id` stands in
`params.yaml`, so that data are never pseudonymized under another key than before without anybody noticing.
"""

import hmac
import os
import re
import secrets
import stat
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from featurestore.errors import InputError
from featurestore.files import atomic_path
from featurestore.tables import centers_of
from pipelines.params import Params, edit_params
from pipelines.workspace import ROLES, VIEWS, Workspace

KEY_BYTES = 32
CASE_ID_DIGITS = 16

LONGEST_MESSAGE = 2_000
"""Characters; a file can make a library say a megabyte, which no table needs and no pattern gets through."""

"""64 bits: among a million patients of a center two share a pseudonym with a chance of 3e-8."""
KEY_ID_DIGITS = 12
_OTHERS = 0o077
"""Rights of the group and of everybody."""

_KEY_ID_TEXT = b"radmill key id"
_UID = re.compile(r"\b[0-2](?:\.\d+){5,}\b")
_PATH = re.compile(r"(?<![\w.])/(?:[^\s/'\"]+/)+[^\s'\"]*")
_FILE = re.compile(r"[^\s/'\"]+\.(?:dcm|ima|dicom|nii\.gz|nii|nrrd)\b", re.IGNORECASE)


class KeyMissingError(InputError):
    """The center's key is not here."""

    default_remedy = "bring the key file from where the study was started: `radmill key import CENTER FILE`"


class KeyDiffersError(InputError):
    """The key here is not the one that the tables were made with."""

    default_remedy = "bring the right key file: `radmill key import CENTER FILE`"


class KeyOpenError(InputError):
    """Other users of the machine can read the key, and with it find out who is behind a pseudonym."""

    default_remedy = "`chmod -R go= private` (`radmill doctor --fix` does it); and ask who may have read it"


class KeyUndeclaredError(InputError):
    """There are tables of the center, but `params.yaml` does not say under which key."""

    default_remedy = (
        "restore the center's key_id in params.yaml (git has it where it was committed); if its key file is not here "
        "any more, `radmill key import CENTER FILE`"
    )


def key_path(folder: Path, center: str) -> Path:
    """Returns where a center's key lies."""
    return folder / f"{center}.key"


def write_private(path: Path, data: bytes) -> None:
    """Writes a file that only its owner may read, whole or not at all."""
    missing = [folder for folder in (path.parent, *path.parent.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True, mode=0o700)
    with atomic_path(path) as temporary:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(data)


def create_key(folder: Path, center: str) -> bytes:
    """Makes a new random key, stores it and returns it.

    Raises:
        InputError: The center has a key already; a key is never replaced.
    """
    path = key_path(folder, center)
    if path.exists():
        raise InputError("there is a key already", where=f"key of center {center}", remedy="keep it")
    key = secrets.token_bytes(KEY_BYTES)
    write_private(path, key.hex().encode() + b"\n")
    return key


def key_id(key: bytes) -> str:
    """Returns the key's public name, from which the key cannot be found."""
    return _keyed(key, _KEY_ID_TEXT)[:KEY_ID_DIGITS]


def load_key(folder: Path, center: str, expected: str | None = None) -> bytes:
    """Returns a center's key.

    Args:
        folder: Where the keys lie.
        center: Whose key.
        expected: The `key_id` it must have; any when left out.

    Raises:
        KeyMissingError: There is no key, or the file holds none.
        KeyDiffersError: The key has another `key_id`.
        KeyOpenError: Others than its owner may read the file.
    """
    where = f"key of center {center}"
    try:
        key = bytes.fromhex(key_path(folder, center).read_text(encoding="ascii").strip())
    except FileNotFoundError as error:
        raise KeyMissingError("there is no key file", where=where) from error
    except ValueError as error:
        raise KeyMissingError("the key file holds no hexadecimal key", where=where) from error
    if len(key) != KEY_BYTES:
        raise KeyMissingError(f"the key has {len(key)} bytes, expected {KEY_BYTES}", where=where)
    mode = stat.S_IMODE(key_path(folder, center).stat().st_mode)
    if os.name == "posix" and mode & _OTHERS:
        raise KeyOpenError(f"its file has the mode {mode:o}; it must be for its owner alone (600)", where=where)
    if expected is not None and not hmac.compare_digest(key_id(key), expected):
        raise KeyDiffersError(f"its key_id is {key_id(key)}, params.yaml says {expected}", where=where)
    return key


def import_key(folder: Path, center: str, source: Path, expected: str | None = None) -> str:
    """Copies a key file to its place and returns its `key_id`; the key there stays when the new one is wrong.

    Raises:
        InputError: There is no such file, or it holds another key than `params.yaml` names.
    """
    try:
        text = source.read_bytes()
    except OSError as error:
        raise KeyMissingError("there is no such file to import", where=source.name) from error
    trial = folder / f".import-{os.getpid()}"
    try:
        write_private(key_path(trial, center), text.strip() + b"\n")
        key = load_key(trial, center, expected)
    finally:
        key_path(trial, center).unlink(missing_ok=True)
        trial.rmdir()
    write_private(key_path(folder, center), key.hex().encode() + b"\n")
    return key_id(key)


def patient_name(raw: str) -> str:
    """Returns a patient's identifier as it is compared: Unicode-composed, outer white space gone."""
    return unicodedata.normalize("NFC", raw).strip().strip("\0").strip()


def case_id(key: bytes, patient_id: str) -> str:
    """Returns a patient's pseudonym."""
    return _keyed(key, b"patient\0" + patient_name(patient_id).encode("utf-8", "surrogateescape"))[:CASE_ID_DIGITS]


def path_id(key: bytes, relative: str) -> str:
    """Returns the pseudonym of a file, by its path below the center's folder."""
    return _keyed(key, b"path\0" + relative.encode("utf-8", "surrogateescape"))


def item_id(key: bytes, name: str) -> str:
    """Returns the pseudonym of anything else that a file names, such as a series UID."""
    return _keyed(key, b"item\0" + name.encode("utf-8", "surrogateescape"))[:CASE_ID_DIGITS]


def ensure_keys(workspace: Workspace, params: Params) -> dict[str, str]:
    """Makes a key for each new center, writes its `key_id` into `params.yaml`, and checks the others.

    A center is new when `params.yaml` has no `key_id` for it and no table of it exists. A key file that already lies
    there (imported before the first run) is taken.

    Returns:
        The `key_id` of every center.

    Raises:
        KeyUndeclaredError: There are tables of a center without `key_id`.
        InputError: `params.yaml` names a key that is missing or differs.
    """
    known = {c: s.key_id for role in ROLES for c, s in params.centers.of(role).items()}
    for center, expected in known.items():
        if expected is None and _has_tables(workspace, center):
            lying = key_id(load_key(workspace.keys, center)) if key_path(workspace.keys, center).exists() else "none"
            what = f"there are tables, but no key_id (that of the key file here: {lying})"
            raise KeyUndeclaredError(what, where=f"params.yaml: center {center}")
        if expected is not None:
            load_key(workspace.keys, center, expected)
    new = {center: key_id(_key_of_new(workspace.keys, center)) for center, named in known.items() if named is None}
    if new:
        edit_params(workspace.params, lambda content: _write_key_ids(content, new))
    return {**{center: named for center, named in known.items() if named is not None}, **new}


def without_identity(text: str, names: Iterable[str]) -> str:
    """Returns a message without UIDs, paths, file names and the given names, each replaced by three dots.

    A message comes from a file's content or from a library, and either may quote what the file names. Names of one or
    two characters and short numbers are left: they stand for nobody and would tear other numbers apart.
    """
    if len(text) > LONGEST_MESSAGE:
        text = text[:LONGEST_MESSAGE].rpartition(" ")[0] + " …"
    plain = _FILE.sub("…", _PATH.sub("…", _UID.sub("…", text)))
    telling = {name for name in names if len(name) > 2 and not (name.isdigit() and len(name) < 5)}
    for name in sorted(telling, key=lambda name: (-len(name), name)):
        plain = re.sub(rf"(?<![^\W_]){re.escape(name)}(?![^\W_])", "…", plain, flags=re.IGNORECASE)
    return plain


def _key_of_new(folder: Path, center: str) -> bytes:
    return load_key(folder, center) if key_path(folder, center).exists() else create_key(folder, center)


def _write_key_ids(content: Any, new: Mapping[str, str]) -> None:
    for role in ROLES:
        for center, section in content["centers"][role].items():
            if center in new:
                section["key_id"] = new[center]


def _has_tables(workspace: Workspace, center: str) -> bool:
    roots = [root for role in ROLES for root in (workspace.intake(role), workspace.outcomes(role))]
    roots += [workspace.view(role, name) for role in ROLES for name in VIEWS]
    roots += list(workspace.imported("any").parent.glob("*"))
    return any(center in centers_of(root) for root in roots)


def _keyed(key: bytes, text: bytes) -> str:
    return hmac.new(key, text, "sha256").hexdigest()
