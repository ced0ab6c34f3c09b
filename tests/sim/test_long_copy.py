"""A copy that takes longer than the stream keeps changes loses none."""

import pytest

from tests.sim.long_copy import DAY_COPY, LONG_COPY, OLD_CHANGES, RETENTION_S
from tests.sim.many import many

# What has to have happened in such copies, some time.
HAPPENED = (
    "kill",
    "kill at a request",
    "frozen owner",
    "frozen at the sending",
    "late",
    "late page noticed",
    "pages dropped",
    "take-over",
    "roll",
    "split",
)


@pytest.mark.timeout(300)
def test_16_seeds() -> None:
    failed, counts = many(range(16), chunk=1, profile=LONG_COPY)
    assert failed == []
    assert [name for name in HAPPENED if not counts[name]] == []


@pytest.mark.timeout(300)
def test_a_copy_of_a_table_that_has_long_been_written() -> None:
    failed, _ = many(range(20), chunk=1, profile=OLD_CHANGES)
    assert failed == []


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_200_seeds() -> None:
    failed, counts = many(range(200), chunk=1, profile=LONG_COPY)
    assert failed == []
    assert [name for name in HAPPENED if counts[name] < 20] == []
    assert counts["seconds of copying"] > 200 * RETENTION_S
    print(f"{counts['seconds of copying'] / 200 / 60:.1f} min of copying a seed: {dict(counts)}")


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_day_and_a_copy_of_thirty_hours() -> None:
    failed, counts = many(range(1, 2), profile=DAY_COPY)
    assert failed == []
    print(f"{counts['seconds of copying'] / 3600:.1f} h of copying: {dict(counts)}")
