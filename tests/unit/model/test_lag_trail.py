"""The lag of one shard, seen from outside, with stamps that are rounded to the minute too."""

from msgspec import Raw

from dynamirror.model.change import Page, Record, StreamRecord
from dynamirror.model.lag_trail import FULL_PAGE_RECORDS, Trail
from dynamirror.model.lease import SHARD_END, TRIM_HORIZON

# Twenty seconds into a minute.
NOW_S = 60 * 16_667 + 20.0


def page(*changes: tuple[int, float], following: str | None = "next", size_bytes: int = 100) -> Page:
    records = [
        Record("INSERT", StreamRecord(Raw(b"{}"), str(sequence), created_s=stamp)) for sequence, stamp in changes
    ]
    return Page(records, following, size_bytes)


def test_what_waits_waits_since_its_stamp() -> None:
    trail = Trail()
    trail.read(page((5, NOW_S - 30), (9, NOW_S - 1)), NOW_S)
    assert trail.lag_s(NOW_S + 2) == 32
    trail.passed("8")
    assert trail.lag_s(NOW_S + 2) == 32, "the page's last change is not applied"
    trail.passed("9")
    assert trail.lag_s(NOW_S + 2) == 0


def test_the_end_of_a_shard_passes_all_and_a_beginning_nothing() -> None:
    trail = Trail()
    trail.read(page((5, NOW_S)), NOW_S)
    trail.passed(TRIM_HORIZON)
    assert trail.lag_s(NOW_S + 1) == 1
    trail.passed(SHARD_END)
    assert trail.lag_s(NOW_S + 1) == 0


def test_a_stamp_of_the_minute_does_not_make_a_lag_where_the_end_was_seen_since() -> None:
    trail = Trail()
    trail.read(page(), NOW_S)
    trail.read(page((5, NOW_S - 20)), NOW_S + 1)
    assert trail.lag_s(NOW_S + 2) == 2


def test_a_change_that_is_older_than_the_end_seen_before_proves_that_it_was_none() -> None:
    trail = Trail()
    trail.read(page(), NOW_S)
    trail.read(page((5, NOW_S - 3)), NOW_S + 1)
    assert trail.lag_s(NOW_S + 2) == 5
    trail.passed("5")
    trail.read(page((6, NOW_S - 80)), NOW_S + 2)
    assert trail.lag_s(NOW_S + 2) == 82


def test_a_full_page_is_no_end() -> None:
    for full in (
        page(*((n, NOW_S - 1) for n in range(1, FULL_PAGE_RECORDS + 1))),
        page((1, NOW_S - 1), size_bytes=900_000),
        page((1, NOW_S - 100)),
    ):
        trail = Trail()
        trail.read(full, NOW_S)
        assert trail.tip_s is None
        trail.passed("1000")
        trail.read(page((2000, NOW_S - 40)), NOW_S + 1)
        assert trail.lag_s(NOW_S + 1) == 41


def test_a_change_without_a_stamp_waits_since_it_was_seen() -> None:
    trail = Trail()
    trail.read(page((5, 0.0)), NOW_S)
    assert trail.lag_s(NOW_S + 3) == 3
