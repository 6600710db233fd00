"""Space comes back: segments that are empty are used again, and few survivors do not hold many segments."""
from load import Load, check_arrived, numbers, start
from house import free_port, wait_for


def test_survivors_are_moved_and_stay_whole(house, sink):
    # One recipient in fifty cannot be reached; the others leave their segments nearly empty.
    dead = free_port()
    house.change({"routes": [{"domain": "stuck.example", "via": f"smtp://127.0.0.1:{dead}"},
                             {"domain": "*", "via": f"smtp://127.0.0.1:{sink.port}"}],
                  "spool": {"segment": "1MiB"}, "queue": {"first-retry": "10min", "longest-retry": "10min"}})
    start(house)
    load = Load(house.ports["relay"], threads=3, sizes=(20000,), stuck_every=50)
    load.wait_accepted(600)
    load.stop()
    stuck = {number for number in load.accepted if number % 50 == 0}
    assert len(stuck) >= 10
    delivered = load.accepted - stuck
    wait_for("all others", lambda: delivered <= set(numbers(sink.messages())), 60)
    # It looks every 20 seconds, one segment at a time, and only while something happens.
    trickle = Load(house.ports["relay"], threads=1, sizes=(200,), pause_s=0.2)
    trickle.next = 10000
    house.wait_event("segment-compacted", deadline_s=60)
    trickle.stop()
    moved = sum(event["moved"] for event in house.events("segment-compacted"))
    assert moved > 0
    assert house.run("spool", "verify", check=False).returncode == 0

    house.kill()
    house.change({"routes": [{"domain": "*", "via": f"smtp://127.0.0.1:{sink.port}"}]})
    start(house)
    waiting = house.json("queue", "list")
    assert len(waiting) == len(stuck)
    house.run("queue", "retry", "--all", check=False)
    check_arrived(load, sink, house)
    counts = numbers(sink.messages())
    assert all(counts[number] == 1 for number in stuck), {n: counts[n] for n in stuck if counts[n] != 1}
    house.stop()
