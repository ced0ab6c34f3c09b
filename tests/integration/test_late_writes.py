"""A write that lands 3 to 20 s after its connection was reset does not overwrite what came after it."""

import asyncio
from pathlib import Path

import pytest

from tests.bench.late_writes import LateWrites, Outcome
from tests.support.dynamodb_local import DynamoDBLocal

FOR_S = 60.0


def run(local: DynamoDBLocal, log: Path, stray_life_s: float) -> Outcome:
    outcome = asyncio.run(LateWrites(local, log, stray_life_s, seed=3).run(FOR_S))
    print(outcome)
    assert outcome.late >= 5
    return outcome


@pytest.mark.long
@pytest.mark.timeout(480)
def test_doubt_outlasts_what_is_late(dynamodb_local: DynamoDBLocal, tmp_path: Path) -> None:
    assert run(dynamodb_local, tmp_path / "log", stray_life_s=20.0).differences == []


@pytest.mark.long
@pytest.mark.timeout(480)
def test_the_same_run_differs_where_doubt_is_too_short(dynamodb_local: DynamoDBLocal, tmp_path: Path) -> None:
    """5 s of time-out and 5 s of stray life against writes that land up to 20 s late."""
    assert run(dynamodb_local, tmp_path / "log", stray_life_s=5.0).differences
