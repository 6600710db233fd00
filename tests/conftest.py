import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "support"))

from house import Process  # noqa: E402


@pytest.fixture(autouse=True)
def nothing_stays_behind():
    """A test that failed half-way leaves no process that would disturb the next."""
    yield
    while Process.running:
        Process.running.pop().kill()
