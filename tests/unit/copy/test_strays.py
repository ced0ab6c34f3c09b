"""Pages that land after their worker gave them up, or died: what was deleted meanwhile does not come back (A-2, A-4).

A page cannot contain an absence, so no page that is read later mends that; changes have to wait for longer than the
stray lives. Each scenario is shown to do harm without the rule that it is about.
"""

import asyncio
from dataclasses import replace

import pytest

from dynamirror.follow.hold import HoldTools
from dynamirror.follow.settling import Budget
from dynamirror.model.copy import Copy, Phase
from dynamirror.model.key import Key
from dynamirror.settings.groups import HoldSettings
from dynamirror.testing.faults import Fault
from dynamirror.testing.virtual_time import run_virtual
from tests.unit.copy.world import COPY, HOLD, LIFE_S, SILENCE_S, THROTTLED, WRITE, Worker, World, item, lost, now_s
from tests.unit.follow.test_shard_task import World as Following
from tests.unit.follow.test_shard_task import cancelled

ITEMS = 20
VICTIM = "k00007"
ALL_AT_ONCE = replace(COPY, segments_at_once=COPY.segments)
# Long enough for pages and their answers, too short for strays: L is missing.
WITHOUT_STRAYS = replace(HOLD, hold_s=LIFE_S + WRITE.attempt_timeout_s)


class Replicated(World):
    """A table that is copied while its changes are applied, by whoever knows what this worker knows."""

    def __init__(self) -> None:
        super().__init__()
        self.following = Following()
        self.source = self.following.source.items
        self.following.destination.items = self.destination
        # Long there: no change of the stream tells of them.
        self.source.update({f"k{number:05}": item(f"k{number:05}") for number in range(ITEMS)})

    def follow(self, worker: Worker, hold: HoldSettings) -> asyncio.Task[None]:
        tools = HoldTools(worker.tools.knowledge, worker.tools.learned, hold, Budget(hold.bytes_max))
        self.following.tools = replace(self.following.tools, hold=tools)
        return asyncio.create_task(self.following.task().run())

    def delete(self) -> None:
        self.following.source.delete({"id": {"S": VICTIM}})

    def landed_at_s(self, key: Key) -> list[float]:
        return [at_s for _, at_s, written in self.applied if written == key]

    @property
    def back_from_the_dead(self) -> set[Key]:
        assert self.source.keys() <= self.destination.keys()
        return self.destination.keys() - self.source.keys()


async def killed_with_a_page_on_its_way(hold: HoldSettings) -> Replicated:
    """A-4: 1 a page with an item is read, and waits for its turn for almost all of its life; 2 the item is deleted;
    3 the page leaves, and its worker is killed; 4 another worker reads the page again: there is nothing of the item;
    5 the delete is applied; 6 the page of the dead lands, T + L after its life."""
    world = Replicated()
    dead = Worker(world, "w1", ALL_AT_ONCE, hold, landing_s=lambda: WRITE.stray_life_s + 2.0)
    heir = Worker(world, "w2", ALL_AT_ONCE, hold, boot_s=1000.0)
    loop = asyncio.get_running_loop()
    read_at_s: list[float] = []

    def read() -> None:
        read_at_s.append(now_s())
        if len(read_at_s) == COPY.segments:
            loop.call_later(0.5, world.delete)

    def fault(_: str) -> Fault:
        # The last of its attempts within its life is on its way for almost as long as an attempt may be.
        return THROTTLED if now_s() - read_at_s[0] < LIFE_S - 2.5 else Fault(delay_s=WRITE.attempt_timeout_s - 0.1)

    dead.scans.after_read, dead.destination_faults.always = read, fault
    await world.announce(Phase.COPYING, hold.hold_s)
    async with world.following.applying():
        following = world.follow(heir, hold)
        dead.start()
        await asyncio.sleep(1)
        heir.start()
        assert len(read_at_s) == COPY.segments
        # Every request of it has left, and none has arrived.
        await asyncio.sleep(read_at_s[0] + LIFE_S + 2.0 - now_s())
        assert not world.applied
        assert VICTIM in {key for _, keys, _ in dead.destination.batches for key in keys}
        await dead.kill()
        await world.reached(Phase.OVER)
        await asyncio.sleep(WRITE.settle_s)
        await heir.kill()
        await cancelled(following)
    [landed_at_s] = world.landed_at_s(VICTIM)
    assert LIFE_S + WRITE.stray_life_s < landed_at_s - read_at_s[0] < LIFE_S + WRITE.settle_s
    assert min(at_s for at_s, *_ in heir.scans.pages) > read_at_s[0] + LIFE_S + SILENCE_S - 1
    return world


def test_a_deleted_item_does_not_come_back_with_the_page_of_a_killed_worker() -> None:
    async def steps() -> None:
        world = await killed_with_a_page_on_its_way(HOLD)
        assert world.back_from_the_dead == set()
        assert world.destination == world.source

    run_virtual(steps())


def test_with_a_hold_that_leaves_out_the_life_of_strays_it_would(monkeypatch: pytest.MonkeyPatch) -> None:
    # No worker would copy with it.
    monkeypatch.setattr("dynamirror.copy.stray_life.least_hold_s", lambda *_: 0.0)

    async def steps() -> None:
        world = await killed_with_a_page_on_its_way(WITHOUT_STRAYS)
        assert world.back_from_the_dead == {VICTIM}

    run_virtual(steps())


async def done_with_a_write_unanswered() -> Replicated:
    """A-2: 1 the write of a page is not answered; 2 its second attempt is, and every segment is done; 3 an item is
    deleted, 4 the first attempt lands."""
    world = Replicated()
    worker = Worker(world, "w1", ALL_AT_ONCE, boot_s=1000.0)
    stray = lost(lands_after_s=WRITE.stray_life_s)
    worker.destination_faults.next["BatchWriteItem"] = [stray] * COPY.segments
    await world.announce(Phase.COPYING)
    async with world.following.applying():
        following = world.follow(worker, HOLD)
        worker.start()
        await asyncio.sleep(5)
        assert world.destination == world.source
        assert await world.phase() in (Phase.DONE, Phase.OVER)
        world.delete()
        await world.reached(Phase.OVER)
        await asyncio.sleep(WRITE.settle_s)
        await worker.kill()
        await cancelled(following)
    assert len(world.landed_at_s(VICTIM)) == 2
    return world


def test_a_deleted_item_does_not_come_back_with_a_write_from_before_the_end() -> None:
    async def steps() -> None:
        world = await done_with_a_write_unanswered()
        assert world.destination == world.source

    run_virtual(steps())


def test_if_the_hold_ended_with_the_last_segment_it_would(monkeypatch: pytest.MonkeyPatch) -> None:
    original = Copy.moved

    def moved(self: Copy, phase: Phase) -> Copy:
        return original(self, Phase.OVER if phase is Phase.DONE else phase)

    monkeypatch.setattr(Copy, "moved", moved)

    async def steps() -> None:
        world = await done_with_a_write_unanswered()
        assert world.back_from_the_dead == {VICTIM}

    run_virtual(steps())


async def changed_while_a_page_waits(aware: bool) -> Replicated:
    """A-3: 1 a worker reads that there is no copy; 2 a copy begins, by another one; 3 a page is read, and waits; 4 an
    item is deleted; 5 the page lands. `aware`: the first worker's belief ends after X."""
    world = Replicated()
    copier, believer = Worker(world, "w1", ALL_AT_ONCE), Worker(world, "w2", boot_s=1000.0)
    if not aware:
        believer.tools.knowledge._lasts_s = float("inf")
    loop = asyncio.get_running_loop()

    def read() -> None:
        if len(copier.scans.pages) == COPY.segments:
            loop.call_later(0.5, world.delete)

    # The page takes a while.
    copier.scans.after_read = read
    copier.destination_faults.always = lambda _: Fault(delay_s=4.5)
    async with world.following.applying():
        following = world.follow(believer, HOLD)
        believer.start()
        await asyncio.sleep(5)
        # From now on it is cut off from the state table.
        believer.state_faults.always = lambda _: lost()
        await world.announce()
        copier.start()
        await world.reached(Phase.OVER)
        believer.state_faults.always = lambda _: None
        await asyncio.sleep(HOLD.hold_s)
        for worker in (copier, believer):
            await worker.kill()
        await cancelled(following)
    return world


def test_a_worker_that_is_cut_off_does_not_apply_what_a_page_then_undoes() -> None:
    async def steps() -> None:
        world = await changed_while_a_page_waits(aware=True)
        assert world.destination == world.source

    run_virtual(steps())


def test_if_it_believed_for_ever_that_there_is_no_copy_it_would() -> None:
    async def steps() -> None:
        world = await changed_while_a_page_waits(aware=False)
        assert world.back_from_the_dead == {VICTIM}

    run_virtual(steps())
