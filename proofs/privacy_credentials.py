"""Gives commands credentials, and servers that refuse them and quote in their answers all that they were sent.

An object store, a webhook and an MLflow server answer 403 with the whole request; a database is not there at all.
What commands then print and leave must hold no credential.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from pipelines.params import edit_params
from tests.leaks import MARKER

Call = Callable[..., None]
"""Runs a radmill command: its words, `codes`, `env`."""

NOBODY = "127.0.0.1:9"
"""Where no server listens."""

TOKENS = {
    name: f"{MARKER}{number:02d}{MARKER.upper()}"
    for number, name in enumerate(("access", "secret", "session", "file", "inline", "database", "server"))
}
"""Each credential with a text of its own; all hold the marker that the search knows."""


class _Quoting(BaseHTTPRequestHandler):
    """Refuses everything, and quotes address, headers and body."""

    protocol_version = "HTTP/1.1"  # or nobody answers who asks whether to send the body

    def _refuse(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        told = f"{self.command} {self.path}\n{self.headers}\n".encode() + body
        xml = b"<Error><Code>SignatureDoesNotMatch</Code><Message>" + told.replace(b"<", b" ") + b"</Message></Error>"
        self.send_response(403, MARKER)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(xml)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(xml)

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = do_PATCH = _refuse  # noqa: N815 (names that http.server calls)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the name in http.server)
        """Says nothing."""


@contextmanager
def refusing() -> Iterator[str]:
    """Yields the place of a server of this machine that refuses and quotes whatever it is sent."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Quoting)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def use_credentials(study: Path, radmill: Call) -> None:
    """Runs commands that need credentials, each of which is refused.

    Args:
        study: A study with stored cases; its settings are afterwards what they were.
        radmill: Runs a command in it.
    """
    settings = study / "params.yaml"
    before = settings.read_bytes()
    with refusing() as place:
        try:
            _store(settings, place, radmill)
            settings.write_bytes(before)
            _webhooks(settings, place, radmill)
        finally:
            settings.write_bytes(before)
        _tracking(place, radmill)


def _store(settings: Path, place: str, radmill: Call) -> None:
    """An object store that takes no crop, asked by doctor and by the stage that needs it."""

    def far(content: Any) -> None:
        content["cluster"].update(kind="address", address=f"tcp://{NOBODY}", store="s3://proof/crops")
        content["extraction"]["default"]["setting"]["binWidth"] += 1

    edit_params(settings, far)
    env = {
        "AWS_ACCESS_KEY_ID": TOKENS["access"], "AWS_SECRET_ACCESS_KEY": TOKENS["secret"],
        "AWS_SESSION_TOKEN": TOKENS["session"], "AWS_ENDPOINT_URL": f"http://{place}",
        "AWS_DEFAULT_REGION": "eu-central-1", "AWS_MAX_ATTEMPTS": "1",
    }  # fmt: skip
    radmill("doctor", codes=(0, 1, 2), env=env)
    radmill("extract", "development", codes=(3,), env=env)


def _webhooks(settings: Path, place: str, radmill: Call) -> None:
    """Addresses that hold a token: in a file, in the settings themselves, and one with a password, which is refused."""
    secret = settings.parent / "private" / "webhook"
    secret.write_text(f"http://{place}/{TOKENS['file']}?token={TOKENS['file']}")
    radmill("score", codes=(0, 1))
    for address, codes in (
        (f"http://{place}/{TOKENS['inline']}", (0, 1)),
        (f"http://{NOBODY}/{TOKENS['inline']}", (0, 1)),
        (f"http://ada:{TOKENS['inline']}@{place}/", (2,)),
        (f"ftp://{place}/{TOKENS['inline']}", (2,)),
    ):

        def inline(content: Any, address: str = address) -> None:
            content["scoring"]["webhook"] = address

        edit_params(settings, inline)
        radmill("score", codes=codes)
    radmill("status", "--json")
    radmill("doctor", codes=(0, 1, 2))


def _tracking(place: str, radmill: Call) -> None:
    """MLflow behind a password: a database that is not there, a server that refuses."""
    for uri in (f"postgresql://ada:{TOKENS['database']}@{NOBODY}/mlflow", f"http://ada:{TOKENS['server']}@{place}"):
        env = {"MLFLOW_TRACKING_URI": uri, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
        for words in (("mirror",), ("status",), ("status", "--json"), ("doctor",), ("models", "--json"), ("score",)):
            radmill(*words, codes=(0, 1, 2, 3), env=env)
