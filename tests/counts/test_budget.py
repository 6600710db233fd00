"""What the counts of bench/count.py are held to: a tenth, unless the budget is changed."""
import json
import pathlib
import sys

import pytest

BENCH = pathlib.Path(__file__).resolve().parents[2] / "bench"
sys.path.insert(0, str(BENCH))

import count  # noqa: E402

CALLS, SYNCS, SWITCHES = (("relay", "smtpd", what) for what in ("calls", "syncs", "switches"))
WORK = ("rooms", "mail header", "instructions")
BUDGET = {"compiler": "12.2.0 x86_64", "relay": {"smtpd": {"calls": 10, "syncs": 0.05}}, "rooms": {"mail header": {"instructions": 1000}}}


def compared(counts, compiler="12.2.0 x86_64"):
    return count.Comparison(counts, BUDGET, compiler)


@pytest.mark.parametrize("key, now, is_over, is_under", [
    (CALLS, 10, False, False),
    (CALLS, 10.9, False, False),
    (CALLS, 11.2, True, False),
    (CALLS, 9.2, False, False),
    (CALLS, 8, False, True),
    (SYNCS, 0.06, False, False),   # a fifth more, but next to nothing
    (SYNCS, 0.10, True, False),
    (WORK, 1101, True, False),
    (SWITCHES, 1, True, False),    # nobody gave it a budget
    (("relay", "smtpd", "futex"), 100, False, False),
])
def test_a_tenth(key, now, is_over, is_under):
    comparison = compared({key: now})
    assert (comparison.over() == [key], comparison.under() == [key]) == (is_over, is_under)


def test_another_compiler_makes_other_instructions(capsys):
    comparison = compared({WORK: 5000, CALLS: 12}, "14.0 riscv64")
    assert comparison.over() == [CALLS]
    comparison.print_all()
    assert "not held" in capsys.readouterr().out


def test_what_it_says(capsys):
    comparison = compared({CALLS: 12, SYNCS: 0.05})
    assert count.conclude(comparison) == 1
    said = capsys.readouterr().out
    assert "TOO MUCH: relay, smtpd: 12.00 system calls, the budget is 10.00 (+20.0 %)" in said
    assert "make count SHOW=relay" in said and "make count UPDATE=1" in said
    assert count.conclude(compared({CALLS: 7})) == 0
    assert "can be lowered" in capsys.readouterr().out


def test_an_update_keeps_what_hardly_changed_and_what_was_not_counted():
    new = count.updated(BUDGET, {CALLS: 10.05, SWITCHES: 4.0, ("relay", "smtpd", "futex"): 3}, "12.2.0 x86_64")
    assert new == {"compiler": "12.2.0 x86_64", "relay": {"smtpd": {"calls": 10, "syncs": 0.05, "switches": 4}},
                   "rooms": {"mail header": {"instructions": 1000}}}
    assert json.loads(count.written(new)) == new


def test_a_second_look_at_what_grew():
    class Moody:
        compiler = "12.2.0 x86_64"
        looks = iter([{CALLS: 12.0}, {CALLS: 11.5}, {CALLS: 10.0}])

        def groups(self):
            return ["relay"]

        def count(self, group):
            return next(self.looks)

    assert count.compare(Moody(), BUDGET).over() == []


def test_every_count_has_a_budget_that_somebody_can_read():
    budget = json.loads(count.BUDGET.read_text())
    assert set(budget) == {"compiler", *count.TITLES}
    assert count.written(budget) == count.BUDGET.read_text()
