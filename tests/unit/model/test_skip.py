"""Only a prefix is skipped: the first record over the line ends it for good."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from dynamirror.model.change import Record, StreamRecord
from dynamirror.model.skip import SLACK_S, Skip


def records_at(times: list[float]) -> list[Record]:
    return [Record("REMOVE", StreamRecord(Raw(b"{}"), str(i), created_s=at)) for i, at in enumerate(times)]


@given(st.lists(st.lists(st.integers(800, 1100), max_size=5), max_size=5))
def test_only_a_prefix_is_skipped(pages: list[list[int]]) -> None:
    skip = Skip(1000_000)
    wanted = [record for page in pages for record in skip.wanted(records_at([float(at) for at in page]))]
    times = [at for page in pages for at in page]
    over = next((i for i, at in enumerate(times) if at >= 1000 - SLACK_S), len(times))
    assert [record.change.created_s for record in wanted] == times[over:]
    assert skip.in_force is (over == len(times))


def test_without_a_start_everything_is_wanted() -> None:
    skip = Skip(None)
    assert not skip.in_force
    records = records_at([0.0])
    assert skip.wanted(records) == records


def test_a_record_without_a_time_stamp_is_not_taken_for_old() -> None:
    skip = Skip(1000_000)
    records = records_at([800.0, 0.0, 800.0])
    assert skip.wanted(records) == records[1:]
    assert not skip.in_force
