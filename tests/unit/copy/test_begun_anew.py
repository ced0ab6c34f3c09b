"""A task that is begun anew while its table is copied: pages of the life that is over bring nothing back in the next.

Each scenario is shown to do harm without the rule that it is about.
"""

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest

from dynamirror.aws.copy_rows import CopyRows
from dynamirror.aws.state_rows import Incarnation
from dynamirror.copy.tools import CopyTools
from dynamirror.engines.begin_copy import former_landed
from dynamirror.errors import Side, Unanswered
from dynamirror.model.copy import Phase
from dynamirror.model.key import Key
from dynamirror.ports import ScanPage
from dynamirror.settings.groups import ReplicationSettings
from dynamirror.testing.faults import Fault
from dynamirror.testing.virtual_time import run_virtual
from tests.support.memory_caller import MemoryCaller
from tests.unit.copy.test_strays import Replicated
from tests.unit.copy.world import CODEC, COPY, HOLD, LIFE, WRITE, Worker, end_of
from tests.unit.follow.test_shard_task import cancelled

NEW_LIFE = Incarnation("new leases", LIFE.stream_arn)
ONE_BY_ONE = replace(COPY, segments_at_once=1, page_items_first=1, page_items_max=1)
SETTINGS = cast(ReplicationSettings, SimpleNamespace(hold=HOLD, write=WRITE))


class Anew(Replicated):
    """One worker copies; another one is of the life that comes next, and has read that there is no copy in it."""

    def __init__(self) -> None:
        super().__init__()
        self.old = Worker(self, "w1", ONE_BY_ONE, landing_s=lambda: 10.0)
        self.new = Worker(self, "w2")
        self.new.tools.knowledge._lasts_s = float("inf")
        self.new.tools.knowledge.learn(None, self.new.clock.boottime_s(), self.new.clock.wall_s())
        self.rows = CopyRows(MemoryCaller(Side.STATE, self.database), "state", NEW_LIFE)
        self.victims: list[Key] = []
        self._scan = self.old.scans.scan
        # An item of the next page is deleted, just after it was read; the page takes a while.
        self.deletes = self.begins = False
        self.deleted = asyncio.Event()
        self.old.scans.scan = self._watched  # type: ignore[method-assign]
        self.old.destination_faults.always = lambda _: Fault(delay_s=4.0) if self.victims else None

    async def begin_anew(self) -> None:
        await self.state_of(NEW_LIFE).remember_pair("arn:S", "arn:D")

    async def _watched(self, segment: int, segments: int, after: bytes, items_max: int) -> ScanPage:
        page = await self._scan(segment, segments, after, items_max)
        if self.deletes and page.items and not self.victims:
            if self.begins:
                await self.begin_anew()
            self.victims.append(CODEC.of(page.items[0]))
            self.following.source.delete({"id": {"S": self.victims[0]}})
            self.deleted.set()
        return page

    async def begin(self) -> None:
        await self.state_of(LIFE).remember_pair("arn:S", "arn:D")
        await self.announce(Phase.COPYING)
        self.old.start()
        await asyncio.sleep(0.1)

    async def ended(self) -> None:
        await asyncio.sleep(10)
        assert self.old.task is not None
        assert "begun anew" in str(end_of(self.old.task.exception()))
        await asyncio.sleep(100)

    @property
    def back(self) -> set[Key]:
        return self.destination.keys() - self.source.keys()


async def read_before(waits: bool) -> Anew:
    """1 a page is read; 2 the task is begun anew, without a copy; 3 an item of the page is deleted, and the delete
    applied; 4 the page lands."""
    world = Anew()
    await world.begin()
    world.deletes = world.begins = True
    async with world.following.applying():
        await world.deleted.wait()
        if waits:
            await former_landed(world.rows, SETTINGS, world.new.clock)
        following = world.follow(world.new, HOLD)
        await world.ended()
        await cancelled(following)
    return world


@pytest.mark.parametrize("waits", [True, False])
def test_a_page_that_was_read_before_lands_before_anything_is_applied(waits: bool) -> None:
    async def steps() -> None:
        world = await read_before(waits)
        assert world.back == (set() if waits else set(world.victims))

    run_virtual(steps())


async def read_after() -> Anew:
    """1 the worker is frozen; 2 the task is begun anew, without a copy; 3 the worker wakes, its look at the copy gets
    no answer, and its segment goes on; 4 an item of its next page is deleted, and the delete applied; 5 the page
    lands."""
    world = Anew()
    await world.begin()
    world.old.process.freeze(3600)
    async with world.following.applying():
        following = world.follow(world.new, HOLD)
        await world.begin_anew()
        await asyncio.sleep(3599)
        world.old.state_faults.next["GetItem"] = [Fault(Unanswered(Side.STATE, "time-out"), delay_s=5.0)]
        world.deletes = True
        await world.ended()
        await cancelled(following)
    return world


def test_no_page_is_sent_that_was_read_once_the_life_of_the_task_was_over() -> None:
    async def steps() -> None:
        assert (await read_after()).back == set()

    run_virtual(steps())


def test_without_a_look_at_the_life_one_would_be_and_bring_the_item_back(monkeypatch: pytest.MonkeyPatch) -> None:
    async def believed(_: CopyTools) -> None:
        return None

    monkeypatch.setattr("dynamirror.copy.segment.prove_life", believed)

    async def steps() -> None:
        world = await read_after()
        assert world.back == set(world.victims) != set()

    run_virtual(steps())
