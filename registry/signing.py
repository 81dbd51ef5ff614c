"""Signatures over a package's digest: who made it says so, and a hospital can check it without a connection.

The digest covers every byte of a package, so signing it signs all. Keys are Ed25519 in PEM files, as
`openssl genpkey -algorithm ed25519` writes them; radmill makes none and keeps none.

Source: RFC 8032 (Ed25519).
"""

import base64
import binascii
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featurestore.errors import InputError
from featurestore.fingerprints import bytes_digest, canonical_json

_MESSAGE = b"radmill model package\n"
"""Comes before the digest, so that a signature made for something else is none for a package."""

_MAX_BYTES = 4096


class KeyFileError(InputError):
    """A key file cannot be used."""

    default_remedy = (
        "`openssl genpkey -algorithm ed25519 -out key.pem` makes a key, `openssl pkey -pubout` its public half"
    )


class SignatureError(InputError):
    """A package is not signed by the key, or not at all."""

    default_remedy = "ask who sent the package for its digest and public key; do not use this copy"


@dataclass(frozen=True, kw_only=True)
class Signature:
    """A signature as it travels with a package.

    Args:
        key: The beginning of the SHA-256 of the public key's bytes, to know which key to look for.
        value: 64 bytes.
    """

    key: str
    value: bytes

    def to_bytes(self) -> bytes:
        """Returns the signature as canonical JSON."""
        plain = {"algorithm": "ed25519", "key": self.key, "signature": base64.b64encode(self.value).decode()}
        return canonical_json(plain) + b"\n"

    @classmethod
    def from_bytes(cls, data: bytes) -> "Signature":
        """Reads a signature.

        Raises:
            SignatureError: It is none.
        """
        try:
            plain = json.loads(data) if len(data) <= _MAX_BYTES else None
            if not isinstance(plain, dict) or plain.get("algorithm") != "ed25519":
                raise SignatureError("the signature is of an unknown kind")
            return cls(key=str(plain["key"]), value=base64.b64decode(str(plain["signature"]), validate=True))
        except (ValueError, KeyError, RecursionError, binascii.Error) as error:
            raise SignatureError("the signature cannot be read") from error


def sign(digest: str, key_file: Path) -> Signature:
    """Signs a package's digest with a private key.

    Raises:
        KeyFileError: The file holds no unencrypted Ed25519 private key.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = _load(key_file, lambda data: load_pem_private_key(data, password=None))
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError("holds no Ed25519 private key", where=key_file.name)
    return Signature(key=_key_id(key.public_key()), value=key.sign(_MESSAGE + digest.encode()))


def verify_signature(digest: str, signature: Signature | None, key_file: Path) -> str:
    """Checks a package's signature and returns the key's id.

    Raises:
        SignatureError: There is none, or it is not of this digest by this key.
        KeyFileError: The file holds no Ed25519 public key.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    key = _load(key_file, load_pem_public_key)
    if not isinstance(key, Ed25519PublicKey):
        raise KeyFileError("holds no Ed25519 public key", where=key_file.name)
    if signature is None:
        raise SignatureError("the package is not signed", where=f"package {digest[:12]}")
    try:
        key.verify(signature.value, _MESSAGE + digest.encode())
    except InvalidSignature as error:
        raise SignatureError(
            f"not signed by key {_key_id(key)} (it names key {signature.key[:16]!r})", where=f"package {digest[:12]}"
        ) from error
    return _key_id(key)


def _load(key_file: Path, read: Any) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        return read(key_file.read_bytes())
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyFileError(f"cannot be read as a key: {error}", where=key_file.name) from error


def _key_id(key: Any) -> str:
    return bytes_digest(key.public_bytes_raw())[:16]
