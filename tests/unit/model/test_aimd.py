"""The rate that a table bears is found, and shared with whoever else uses it."""

from hypothesis import given
from hypothesis import strategies as st

from dynamirror.model.aimd import DECREASE, RATE_LEAST, Aimd
from dynamirror.model.rate import UNLIMITED


def test_it_begins_at_what_is_known_and_without_a_limit_where_nothing_is() -> None:
    assert Aimd(4000, 0.0).rate_s == 4000
    assert Aimd(None, 0.0).rate_s == UNLIMITED


def test_the_first_throttle_of_an_unknown_table_tells_what_was_too_much() -> None:
    aimd = Aimd(None, 0.0)
    aimd.grow(1.0, 1000)
    assert aimd.throttled(1.0, 1000)
    assert aimd.rate_s == 1000 * DECREASE


@given(st.lists(st.floats(0, 0.99), min_size=1, max_size=50))
def test_all_throttles_of_a_second_count_once(moments: list[float]) -> None:
    aimd = Aimd(1000, 0.0)
    assert aimd.throttled(5.0, 1000)
    assert not any(aimd.throttled(5.0 + moment, 1000) for moment in moments)
    assert aimd.rate_s == 1000 * DECREASE


def test_it_grows_by_a_twentieth_of_the_table_a_second_while_it_is_used() -> None:
    aimd = Aimd(1000, 0.0)
    aimd.throttled(0.0, 1000)
    for tenth in range(1, 21):
        aimd.grow(tenth / 10, aimd.rate_s)
    assert 700 + 99 < aimd.rate_s < 700 + 101


def test_what_is_not_used_does_not_grow() -> None:
    aimd = Aimd(1000, 0.0)
    for second in range(1, 100):
        aimd.grow(second, 500)
    assert aimd.rate_s == 1000


def test_a_table_that_can_do_more_than_it_said_is_used_more_and_more() -> None:
    aimd = Aimd(5, 0.0)
    for tenth in range(1, 1201):
        aimd.grow(tenth / 10, aimd.rate_s)
    assert aimd.rate_s > 500


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0, 1e6), st.booleans()), max_size=100))
def test_it_never_stops_altogether(steps: list[tuple[float, float, bool]]) -> None:
    aimd, now_s = Aimd(None, 0.0), 0.0
    for passed_s, used_s, throttled in steps:
        now_s += passed_s
        aimd.grow(now_s, used_s)
        if throttled:
            aimd.throttled(now_s, used_s)
        assert aimd.rate_s >= RATE_LEAST


@given(capacity_s=st.floats(50, 5000), others=st.floats(0.1, 0.6))
def test_beside_others_a_table_is_used_well_and_rarely_too_much(capacity_s: float, others: float) -> None:
    aimd, throttles, used = Aimd(capacity_s, 0.0), 0, 0.0
    for tenth in range(1, 601):
        now_s = tenth / 10
        rate_s = min(aimd.rate_s, capacity_s)
        aimd.grow(now_s, rate_s)
        if rate_s + others * capacity_s > capacity_s:
            throttles += aimd.throttled(now_s, rate_s)
        used += rate_s / 10
    free = (1 - others) * capacity_s * 60
    assert 0.6 * free < used < 1.35 * free
    assert throttles < 40
