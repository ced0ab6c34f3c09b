"""What a copy says of itself."""

from dynamirror.model.copy import Segment
from dynamirror.model.copy_progress import named, progress, uneven

HALF = [Segment(0, done=True, read=600, written=600, size_bytes=600_000), Segment(1, read=400, written=399, parked=1)]


def test_the_rows_are_summed() -> None:
    now = progress(HALF, 10.0)
    assert (now.read, now.written, now.parked, now.done, now.segments) == (1000, 999, 1, 1, 2)


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


def test_a_segment_whose_counts_do_not_add_up_is_named_though_the_sums_do() -> None:
    wrong = [Segment(0, read=2, written=1), Segment(1, read=1, written=2), Segment(2, read=1, parked=1)]
    assert uneven(wrong) == [0, 1]
    assert uneven(HALF) == []
    assert named([7]) == "segment 7"
    assert named([0, 1]) == "segments 0, 1"
    assert named(list(range(12))) == "segments 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"
