"""What a bucket lets through, how fast it was, and what a limit means for a table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamirror.model.rate import MEASURED_OVER_S, SAVED_S, UNLIMITED, Bucket, Limit, Usage, read_units, write_units

COSTS = st.lists(st.floats(0.5, 400), min_size=20, max_size=200)


@pytest.mark.parametrize(
    "limit, capacity_s, units_s",
    [
        (Limit(units_s=500), None, 500),
        (Limit(units_s=500), 10, 500),
        (Limit(percent=50), 4000, 2000),
        (Limit(percent=50), None, None),
    ],
)
def test_a_share_is_of_what_the_table_can_do(limit: Limit, capacity_s: float | None, units_s: float | None) -> None:
    assert limit.of(capacity_s) == units_s


def test_units_are_whole_and_one_at_least() -> None:
    assert write_units([1, 1024, 1025, 400 * 1024]) == 1 + 1 + 2 + 400
    assert (read_units(0), read_units(4096), read_units(4097)) == (1, 1, 2)


@given(rate_s=st.floats(1, 5000), costs=COSTS)
def test_what_passes_is_the_rate_but_for_one_debt_and_what_was_saved(rate_s: float, costs: list[float]) -> None:
    bucket, now_s, passed = Bucket(rate_s, 0.0), 0.0, 0.0
    for cost in costs:
        now_s += bucket.wait_s(now_s)
        assert bucket.wait_s(now_s) < 1e-6
        bucket.take(cost, now_s)
        passed += cost
        assert passed <= rate_s * (now_s + SAVED_S) + cost + 1e-3
    # Nobody was slow to take, so nothing was lost either.
    assert passed >= rate_s * now_s - 1e-3


@given(rate_s=st.floats(1, 5000), costs=COSTS, estimate=st.floats(0.5, 400))
def test_an_estimate_that_is_settled_leaves_the_true_cost(rate_s: float, costs: list[float], estimate: float) -> None:
    settled, exact = Bucket(rate_s, 0.0), Bucket(rate_s, 0.0)
    for cost in costs:
        settled.take(estimate, 0.0)
        settled.take(cost - estimate, 0.0)
        exact.take(cost, 0.0)
    assert settled.wait_s(0.0) == pytest.approx(exact.wait_s(0.0))


def test_no_more_is_saved_than_a_moment() -> None:
    bucket = Bucket(100, 0.0)
    bucket.take(100 * SAVED_S + 50, 60.0)
    assert bucket.wait_s(60.0) == pytest.approx(0.5)


def test_a_rate_of_nothing_waits_until_there_is_another() -> None:
    bucket = Bucket(0.0, 0.0)
    assert bucket.wait_s(10.0) == UNLIMITED
    bucket.change(10.0, 10.0)
    assert bucket.wait_s(10.0) == 0


def test_without_a_limit_nobody_waits_and_no_debt_is_left_behind() -> None:
    bucket = Bucket(UNLIMITED, 0.0)
    bucket.take(1e9, 1.0)
    assert bucket.wait_s(1.0) == 0
    bucket.change(10.0, 2.0)
    assert bucket.wait_s(2.0) == 0


@given(rate_s=st.floats(1, 5000), idle_s=st.floats(0, 1000))
def test_a_steady_rate_is_measured_as_it_is_however_long_nothing_was(rate_s: float, idle_s: float) -> None:
    usage, now_s = Usage(0.0), idle_s
    for _ in range(300):
        usage.add(rate_s / 10, now_s)
        now_s += 0.1
    assert usage.rate_s(now_s) == pytest.approx(rate_s, rel=0.05)
    assert usage.rate_s(now_s + 5 * MEASURED_OVER_S) < rate_s / 50


def test_a_burst_right_after_a_pause_is_no_more_than_a_second_of_it() -> None:
    usage = Usage(0.0)
    usage.add(300, 100.0)
    assert usage.rate_s(100.1) == pytest.approx(300, rel=0.05)
