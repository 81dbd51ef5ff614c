"""Tells another program of a scoring run: its record as JSON by one POST. No patient is in it."""

import json
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPMessage, HTTPResponse
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from featurestore.errors import InputError

TIMEOUT_S = 10.0
SCHEMES = ("http", "https")


class WebhookError(InputError):
    """`scoring.webhook` cannot be called."""

    default_remedy = (
        "give an http:// or https:// address without user and password, or the name of a file in the study that "
        "holds one; an address that is a secret belongs into a file under private/, which git never sees"
    )


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A POST that is sent elsewhere would arrive there as a GET, or at somebody else's."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        """Follows none."""


@dataclass(frozen=True)
class Webhook:
    """Where a run is told. The address may be a secret: it stands in no message."""

    url: str

    @classmethod
    def of(cls, setting: str | None, study: Path) -> "Webhook | None":
        """Returns what the setting names: an address, or a file in the study that holds one.

        Raises:
            WebhookError: It is neither, or no address that can be called.
        """
        if not setting:
            return None
        url = setting.strip()
        if "://" not in url:
            file = study / url
            if not file.is_file():
                raise WebhookError("it is no address, and there is no such file", where="scoring.webhook")
            url = file.read_text(encoding="utf-8").strip()
        _check(url)
        return cls(url)

    def tell(self, content: dict[str, Any]) -> str:
        """Posts the content and returns what became of it; never raises, never takes longer than `TIMEOUT_S`."""
        answer: list[str] = []
        thread = threading.Thread(target=lambda: answer.append(self._post(content)), daemon=True)
        thread.start()
        thread.join(TIMEOUT_S)
        return answer[0] if answer else f"failed: no answer within {TIMEOUT_S:.0f} s"

    def _post(self, content: dict[str, Any]) -> str:
        request = urllib.request.Request(
            self.url, data=json.dumps(content).encode(), headers={"Content-Type": "application/json"}, method="POST"
        )
        try:
            response: HTTPResponse
            with urllib.request.build_opener(_NoRedirects).open(request, timeout=TIMEOUT_S) as response:
                return f"delivered, answer {response.status}"
        except urllib.error.HTTPError as error:
            error.close()
            return f"failed: answer {error.code}"
        except urllib.error.URLError as error:
            return f"failed: {_reason(error.reason)}"
        except Exception as error:  # whatever it is, the run itself has ended well
            return f"failed: {_reason(error)}"


def _reason(error: object) -> str:
    """Returns why, in words that cannot hold the address."""
    return str(error.strerror or type(error).__name__) if isinstance(error, OSError) else type(error).__name__


def _check(url: str) -> None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise WebhookError("the address cannot be read", where="scoring.webhook") from error
    if parts.scheme not in SCHEMES or not host or any(ord(letter) <= 32 for letter in url):
        raise WebhookError("it is no http:// or https:// address", where="scoring.webhook")
    if parts.username is not None or parts.password is not None:
        raise WebhookError("the address holds a user or a password", where="scoring.webhook")
