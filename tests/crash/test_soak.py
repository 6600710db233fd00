"""The verdict of tests/crash/soak.py sees what rises, and does not take noise for it."""
import random

from soak import CYCLE_S, EVERY_S, verdict


def rows(memory=lambda at: 10000, p99=lambda at: 20):
    chance, moments = random.Random(1), [i * EVERY_S for i in range(int(30 * CYCLE_S / EVERY_S) + 1)]
    return [{"seconds": at, "queue_pss_kib": memory(at) + chance.random() * 800, "queue_descriptors": 20 + chance.randrange(30),
             "p99_ms": p99(at)} for at in moments]


def judge(found, idle=(20, 20)):
    return {name: flat for name, _, _, flat in verdict(found, [{"queue_descriptors": count} for count in idle])}


def test_noise_is_flat():
    assert judge(rows()) == {"queue_pss_kib": True, "queue_descriptors": True, "p99_ms": True}
    assert all(judge(rows(), (20, 18)).values())


def test_what_rises_is_seen():
    end = 30 * CYCLE_S
    assert judge(rows(memory=lambda at: 10000 + 6000 * at / end))["queue_pss_kib"] is False
    assert judge(rows(p99=lambda at: 20 if at < end * 0.6 else 90))["p99_ms"] is False
    assert judge(rows(), (20, 21))["queue_descriptors"] is False


def test_a_crowd_is_no_leak_and_half_a_cycle_is_none():
    found = rows(memory=lambda at: 10000 + (9000 if at % CYCLE_S > CYCLE_S / 2 else 0))
    assert judge(found)["queue_pss_kib"]
    found[-1]["queue_pss_kib"] = 90000
    assert judge(found)["queue_pss_kib"]


def test_too_short_to_tell():
    assert judge(rows()[:20])["queue_pss_kib"] is None
