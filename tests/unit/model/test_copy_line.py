"""What the live line of a copy says, for the values that it is given."""

import pytest

from dynamirror.model.copy import Phase, Segment
from dynamirror.model.copy_line import WINDOW_S, Standing, Window, line, share_of
from dynamirror.model.copy_progress import progress

HALF = progress([Segment(0, done=True, read=600, written=600, size_bytes=600_000), Segment(1)], 10.0)


def test_a_copy_beside_changes_has_all_figures() -> None:
    now = Standing(Phase.COPYING, HALF, 2_400)
    assert line(now, 20.0, 61.2) == (
        "25 %  600 of about 2,400 items  600 kB  20 items/s  90 s left  1 of 2 segments  lag 61 s"
    ).replace("90 s", "2 min")
    assert share_of(now) == 0.25
    assert line(now, 0.0, None) == "25 %  600 of about 2,400 items  600 kB  1 of 2 segments  lag -"
    assert line(now, 0.0, 0.25).endswith("lag 0.2 s")


@pytest.mark.parametrize("items", [0, 599])
def test_without_a_count_that_can_be_true_there_is_neither_share_nor_end(items: int) -> None:
    """The service counts items every six hours."""
    now = Standing(Phase.COPYING, HALF, items, at_rest=True)
    assert line(now, 20.0, None) == "600 items  600 kB  20 items/s  1 of 2 segments"
    assert share_of(now) is None


def test_before_and_after_it_says_what_is_waited_for() -> None:
    before, after = Standing(Phase.ANNOUNCED, progress([], 0.0), 9), Standing(Phase.DONE, HALF, 600)
    assert line(before, 0.0, None) == "copy announced, it begins in some seconds  lag -"
    assert line(after, 5.0, 60.0) == "all 600 items are written, changes wait a little longer  lag 60 s"
    at_rest = Standing(Phase.DONE, HALF, 600, at_rest=True)
    assert line(at_rest, 5.0, None) == "all 600 items are written, waiting until nothing can land any more"
    assert share_of(after) is share_of(before) is None


def test_a_pace_is_that_of_the_last_half_minute() -> None:
    window = Window()
    assert window.per_s == window.grown == 0.0
    window.see(0.0, 100)
    assert window.per_s == 0.0
    for second in range(1, 101):
        window.see(float(second), 100 + 10 * second)
        # Looked at more often than it changes.
        window.see(float(second), 10**6)
    assert window.per_s == 10.0
    for second in range(101, 101 + int(WINDOW_S)):
        window.see(float(second), 1100)
    assert window.per_s == pytest.approx(0.0, abs=0.4)


def test_moments_that_are_far_apart_still_make_a_pace() -> None:
    window = Window()
    for at_s in (0.0, 100.0, 200.0):
        window.see(at_s, at_s * 3)
    assert window.per_s == 3.0
    assert window.grown == 300.0
