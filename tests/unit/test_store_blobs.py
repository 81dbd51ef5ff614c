"""An object store that does not answer is named within a stated time; it never holds a run."""

import socket
import time
from collections.abc import Iterator

import pytest
from s3fs import S3FileSystem

from featurestore import blobs
from featurestore.blobs import Blobs, BlobStoreError


@pytest.fixture(autouse=True)
def own_clients() -> Iterator[None]:
    """fsspec keeps clients by their arguments, and the server's address is none of them."""
    S3FileSystem.clear_instance_cache()
    yield
    S3FileSystem.clear_instance_cache()


def test_a_server_that_takes_and_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setattr(blobs, "_LIMIT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        began = time.monotonic()
        with pytest.raises(BlobStoreError, match="imeout"):
            Blobs("s3://bucket/prefix", is_patient=False).put("open", b"x" * 100_000)
    assert time.monotonic() - began < 30, "a generous bound: without one it was hours"
