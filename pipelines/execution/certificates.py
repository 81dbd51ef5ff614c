"""Who is who on the way to a scheduler: certificates of both sides, and what is wrong when the door stays shut."""

import socket
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from featurestore.errors import InputError
from pipelines.execution.problems import ClusterError
from pipelines.params.operation import TlsSection

_ANSWER_S = 5.0
"""How long a scheduler may take to shake hands."""

_OBJECTION_S = 1.0
"""How long it may take to object to a certificate: with TLS 1.3 it does so after the handshake."""


class CertificateError(InputError):
    """A certificate or its key cannot be used."""

    default_remedy = "docs/how-to/cluster.md shows how to make certificates for a cluster"


def security(tls: TlsSection, root: Path) -> Any:
    """Returns Dask's security with encryption required and certificates on both sides.

    Args:
        tls: The files.
        root: The study's folder, which relative paths start from.

    Raises:
        CertificateError: A file is missing, is not what it should be, or lets others read the key.
    """
    from distributed.security import Security

    paths = {name: root / path for name, path in tls.model_dump().items()}
    for name, path in paths.items():
        if not path.is_file():
            raise CertificateError(f"there is no file {path}", where=f"cluster.tls.{name}")
    if mode := paths["key"].stat().st_mode & 0o077:
        remedy = f"chmod 600 {paths['key']}, and make another key if anyone may have copied this one"
        raise CertificateError(f"others may read the key (mode 6{mode:02o})", where="cluster.tls.key", remedy=remedy)
    made = Security(
        require_encryption=True,
        tls_ca_file=str(paths["ca"]),
        tls_client_cert=str(paths["certificate"]),
        tls_client_key=str(paths["key"]),
    )
    _context(made)
    return made


def _context(made: Any) -> ssl.SSLContext:
    try:
        context: ssl.SSLContext = made.get_connection_args("client")["ssl_context"]
    except (ssl.SSLError, OSError) as error:
        where = "cluster.tls"
        raise CertificateError(f"the files cannot be used together: {_reason(error)}", where=where) from error
    return context


def knock(address: str, safety: Any = None) -> None:
    """Opens a connection to a scheduler and closes it again.

    Args:
        address: The scheduler.
        safety: What `security` gave; nothing for a scheduler without TLS.

    Raises:
        NobodyThereError: Nobody listens.
        HandshakeError: Somebody does, and one side does not let the other in.
    """
    where = urlsplit(address)
    try:
        plain = socket.create_connection((where.hostname or "", where.port or 0), timeout=_ANSWER_S)
    except OSError as error:
        raise NobodyThereError(f"nobody answers: {_reason(error)}", where=address) from error
    with plain:
        if safety is not None:
            _shake_hands(plain, _context(safety), address)


class NobodyThereError(ClusterError):
    """No scheduler listens at the address."""

    default_remedy = "check cluster.address, that the scheduler runs, and that no firewall is between"


class HandshakeError(ClusterError):
    """The scheduler's certificate is not accepted, or it does not accept this machine's."""

    default_remedy = "scheduler, workers and this machine need certificates of one authority, that of cluster.tls.ca"


def _shake_hands(plain: socket.socket, context: ssl.SSLContext, address: str) -> None:
    try:
        with context.wrap_socket(plain, server_hostname=urlsplit(address).hostname) as safe:
            safe.settimeout(_OBJECTION_S)
            safe.recv(1)
    except TimeoutError:
        return  # nobody objects
    except (ssl.SSLEOFError, ConnectionError) as error:
        raise NobodyThereError("it ends the connection before a word is said", where=address) from error
    except ssl.SSLCertVerificationError as error:
        message = f"the scheduler's certificate is not one of cluster.tls.ca: {error.verify_message}"
        raise HandshakeError(message, where=address) from error
    except (ssl.SSLError, OSError) as error:
        if "ALERT" not in str(error):
            remedy = "start it with --protocol tls and its certificate"
            raise HandshakeError("it does not speak TLS", where=address, remedy=remedy) from error
        message = f"the scheduler refuses this machine's certificate: {_reason(error)}"
        raise HandshakeError(message, where=address) from error


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    return error.strerror or str(error)
