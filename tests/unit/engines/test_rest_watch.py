"""Nobody follows a table while it is copied at rest."""

import logging

import pytest

from dynamirror.aws.copy_rows import CopyRows
from dynamirror.aws.state_rows import Incarnation, at_rest
from dynamirror.aws.state_table import StateTable
from dynamirror.engines.preflight import check
from dynamirror.errors import Refused
from dynamirror.model.copy import Copy, Phase
from dynamirror.model.worker_row import WorkerRow
from dynamirror.settings.parse import settings_from
from tests.support.accounts import STATE, STATE_KEY, World

FLAGS = {
    "source_region": "us-east-1",
    "source_table": "Orders",
    "destination_region": "eu-west-1",
    "destination_table": "Copy",
}


class Resting:
    """A task whose copy at rest was begun; `beat` is what its worker does."""

    def __init__(self) -> None:
        self.world = World()
        self.world.state.add(STATE, STATE_KEY)
        self.life: Incarnation = at_rest(self.world.source.tables["Orders"], self.world.destination.tables["Copy"])
        self._state = StateTable(self.world.state, STATE, self.life)

    async def begun(self, phase: Phase) -> None:
        await CopyRows(self.world.state, STATE, self.life).put_copy(Copy(phase, 4, 0, was_empty=True), None)

    async def beat(self) -> None:
        await self._state.beat("w-1", WorkerRow(int(self.world.time.now_s)), {})

    async def start(self) -> None:
        await check(self.world, settings_from(FLAGS, java_form=False, now_ms=0), self.world.time)


async def test_beside_a_living_worker_no_following_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """1 a page is read; 2 its item changes, and the change is written at once; 3 the page lands on it."""
    resting = Resting()
    await resting.begun(Phase.COPYING)
    await resting.beat()
    sleep = resting.world.time.sleep

    async def beating(delay_s: float) -> None:
        await sleep(delay_s)
        await resting.beat()

    monkeypatch.setattr(resting.world.time, "sleep", beating)
    with pytest.raises(Refused, match=r"copied at rest \(worker w-1, state table .*Wait for its end"):
        await resting.start()
    assert not resting.world.made


async def test_one_that_was_left_is_mentioned(caplog: pytest.LogCaptureFixture) -> None:
    resting = Resting()
    await resting.begun(Phase.COPYING)
    await resting.beat()
    with caplog.at_level(logging.WARNING, "dynamirror"):
        await resting.start()
    assert "copy_at_rest_unfinished" in [record.__dict__.get("event") for record in caplog.records]


async def test_one_that_is_over_is_not(caplog: pytest.LogCaptureFixture) -> None:
    resting = Resting()
    await resting.begun(Phase.OVER)
    with caplog.at_level(logging.WARNING, "dynamirror"):
        await resting.start()
    assert "copy_at_rest_unfinished" not in [record.__dict__.get("event") for record in caplog.records]
