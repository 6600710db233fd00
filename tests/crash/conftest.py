import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from house import House, Sink  # noqa: E402


@pytest.fixture
def sink(tmp_path):
    sink = Sink(tmp_path)
    yield sink
    sink.stop()


@pytest.fixture
def house(tmp_path, sink):
    """A server that relays everything to the sink; not yet started. Killed processes are no fault here."""
    house = House(tmp_path / "house", accounts=())
    house.route_all_to(sink.port)
    yield house
    if house.server is not None:
        house.kill()
