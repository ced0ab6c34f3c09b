"""What a copy says of itself."""

from dynamirror.model.copy import Segment
from dynamirror.model.copy_progress import progress

HALF = [Segment(0, done=True, read=600, written=600, size_bytes=600_000), Segment(1, read=400, written=399, parked=1)]


def test_the_rows_are_summed() -> None:
    now = progress(HALF, 10.0)
    assert (now.read, now.written, now.parked, now.done, now.segments) == (1000, 999, 1, 1, 2)
    assert now.counted_out
    assert not progress([Segment(0, read=2, written=1)], 0.0).counted_out


def test_the_line_has_rate_share_and_time_left() -> None:
    before = progress([Segment(0), Segment(1)], 0.0)
    line = progress(HALF, 10.0).line(before, 100_000)
    assert line == (
        "copied 999 items (600 kB), 100 items/s, 1 % of about 100,000, 17 min left, 1 of 2 segments done, 1 parked"
    )


def test_what_is_not_known_is_left_out() -> None:
    assert progress([Segment(0, done=True, read=5, written=5, size_bytes=2_500_000_000)], 3.0).line(None, 0) == (
        "copied 5 items (2.5 GB), 1 of 1 segments done"
    )
    # The service counts items every six hours: there may be more than it says.
    assert "%" not in progress(HALF, 10.0).line(None, 10)
