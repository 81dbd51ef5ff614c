"""What all tests share: where the test data are."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real images and reference values; its absence is one reason to skip, the same everywhere."""
    folder = Path(os.environ.get("RADMILL_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("test data absent: set RADMILL_TEST_DATA to their folder")
    return folder
