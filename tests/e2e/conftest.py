import pytest

from house import House, Sink


@pytest.fixture
def sink(tmp_path):
    sink = Sink(tmp_path)
    yield sink
    sink.stop()


@pytest.fixture
def house(tmp_path, sink):
    """A running server that relays everything to the sink."""
    house = House(tmp_path / "house")
    house.route_all_to(sink.port)
    with house:
        yield house
