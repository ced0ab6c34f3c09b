"""What the operator orders, and what a lane makes of it."""

import pytest

from dynamirror.errors import Refused
from dynamirror.model.lane import Lane
from dynamirror.model.orders import LATE_MS, Ordered, Orders, RateOrder, lost_from_ms, nears_loss, order_text, total_s
from dynamirror.model.rate import UNLIMITED, Limit
from dynamirror.settings.rate import parsed_order

HOUR_MS = 3600 * 1000


def test_an_order_that_is_in_force_is_none() -> None:
    paused = Orders().pause(5, "a@b")
    assert (paused.paused, paused.paused_at_ms, paused.paused_by, paused.counter) == (True, 5, "a@b", 1)
    assert paused.pause(9, "c@d") is paused
    resumed = paused.resume(9, "c@d")
    assert (resumed.paused, resumed.paused_at_ms, resumed.counter, resumed.ordered_by) == (False, 0, 2, "c@d")
    assert resumed.resume(10, "e@f") is resumed


def test_each_limit_is_ordered_by_itself_and_beside_a_pause() -> None:
    limited = Orders().pause(1, "a").rates(Limit(units_s=5), None, 2, "b")
    assert (limited.paused, limited.read, limited.write) == (True, Limit(units_s=5), RateOrder.DEFAULT)
    assert limited.rates(Limit(units_s=5), None, 3, "c") is limited
    lifted = limited.rates(None, RateOrder.NONE, 3, "c").resume(4, "d")
    assert (lifted.read, lifted.write, lifted.counter) == (Limit(units_s=5), RateOrder.NONE, 4)


@pytest.mark.parametrize("text", ["500", "12.5", "50%", "none", "default"])
def test_an_order_is_typed_as_it_is_shown(text: str) -> None:
    assert order_text(parsed_order(text, "x")) == text


@pytest.mark.parametrize("text", ["", "0", "101%", "fast", "-1"])
def test_what_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="x"):
        parsed_order(text, "x")


@pytest.mark.parametrize(
    "ordered,capacity_s,expected",
    [
        (RateOrder.DEFAULT, 100.0, 7.0),
        (RateOrder.NONE, 100.0, None),
        (Limit(units_s=3), None, 3.0),
        (Limit(percent=50), 100.0, 50.0),
        # Not known: the worker's own flag stays in force.
        (Limit(percent=50), None, 7.0),
    ],
)
def test_the_limit_in_force(ordered: Ordered, capacity_s: float | None, expected: float | None) -> None:
    assert total_s(ordered, 7.0, capacity_s) == expected


def test_a_lane_takes_another_limit_and_keeps_its_part_of_it() -> None:
    lane = Lane(100.0, None, 0.0)
    lane.share(25.0, 0.0)
    assert lane.order(Limit(units_s=40), 1.0)
    assert (lane.total_s, lane.limit.rate_s) == (40, 10)
    assert not lane.order(Limit(units_s=40), 1.0)
    assert lane.order(RateOrder.NONE, 2.0)
    assert (lane.limited, lane.limit.rate_s, lane.limit.wait_s(2.0)) == (False, UNLIMITED, 0.0)
    # From no limit to one nothing may be used before there is a share of it.
    assert lane.order(RateOrder.DEFAULT, 3.0)
    assert (lane.total_s, lane.limit.wait_s(3.0)) == (100, UNLIMITED)


def test_a_pause_is_warned_of_before_changes_are_lost() -> None:
    assert lost_from_ms(HOUR_MS) == 25 * HOUR_MS
    assert not nears_loss(0, LATE_MS - 1)
    assert nears_loss(0, LATE_MS)
    assert lost_from_ms(0) > LATE_MS
