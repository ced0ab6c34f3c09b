"""Interleavings that once broke the protocol on paper: with the guard on they do no harm, with it off they do.

The names are those of the model behind docs/decisions/0008-order-under-faults.md. Those of reconcile (B-1 to B-4) are
in tests/unit/prove.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from unittest.mock import patch

import pytest

from dynamirror.errors import Side
from dynamirror.model.lease import Lease, Predecessor
from dynamirror.testing.faults import Scripted
from dynamirror.testing.virtual_time import run_virtual
from tests.sim.mutants import MUTANTS
from tests.unit.fleet.world import Worker, World, unanswered

GUARD = {mutant.name: mutant.enter for mutant in MUTANTS}
LATE_S = 20.0

Scene = Callable[[World], Awaitable[None]]


def loses_the_first_write(worker: Worker, lands_after_s: float = LATE_S) -> Worker:
    """Its first batch is not answered, and applied much later."""
    worker.write_faults.then = Scripted("BatchWriteItem", [unanswered(Side.DESTINATION, lands_after_s)])
    return worker


async def doubt(world: World) -> None:
    """C-1: v1 is not answered, v2 is written, the checkpoint passes both, v1 lands."""
    loses_the_first_write(world.worker("w0")).start()
    world.put("k", value=1)
    await asyncio.sleep(1)
    world.put("k", value=2)
    await asyncio.sleep(60)


async def crash(world: World) -> None:
    """C-2: v1 is on its way when its owner dies; the heir writes v1 and v2; v1 lands."""
    first = loses_the_first_write(world.worker("w0")).start()
    world.put("k", value=1)
    await asyncio.sleep(1)
    await first.kill()
    world.put("k", value=2)
    world.worker("w1").start()
    await asyncio.sleep(60)


async def crash_at_the_end_of_a_shard(world: World) -> None:
    """C-2 across SHARD_END: the newer change stands in the child shard."""
    first = loses_the_first_write(world.worker("w0")).start()
    world.put("k", value=1)
    await asyncio.sleep(1)
    await first.kill()
    [shard] = world.stream.open_shards()
    world.stream.roll(shard)
    world.put("k", value=2)
    world.worker("w1").start()
    await asyncio.sleep(90)


async def orderly_stop_in_doubt(world: World) -> None:
    """C-3: the owner stops in order while v1 is in doubt; the next one starts at once, and writes v2."""
    first = loses_the_first_write(world.worker("w0")).start()
    world.put("k", value=1)
    await asyncio.sleep(1)
    await first.stop()
    world.put("k", value=2)
    world.worker("w1").start()
    await asyncio.sleep(60)


async def clean_stop_of_an_unclean_start(world: World) -> None:
    """C-4: w0 dies with v1 on its way; w1 takes over and stops in order before that has settled; w2 starts at once."""
    first = loses_the_first_write(world.worker("w0"), 30.0).start()
    world.put("k", value=1)
    await asyncio.sleep(1)
    await first.kill()
    second = world.worker("w1").start()
    await world.until(lambda: world.owners() == ["w1"], 20)
    await asyncio.sleep(2)
    await second.stop()
    world.put("k", value=2)
    world.worker("w2").start()
    await asyncio.sleep(90)


SCENES = [
    (doubt, "doubt retried at once"),
    (crash, "unclean start taken as clean"),
    (crash, "second sending left out"),
    (crash_at_the_end_of_a_shard, "unclean start taken as clean"),
    (orderly_stop_in_doubt, "released with a doubt outstanding"),
    (clean_stop_of_an_unclean_start, "released with a doubt outstanding"),
]


@pytest.mark.parametrize("guarded", [True, False])
@pytest.mark.parametrize("scene,guard", SCENES, ids=lambda part: getattr(part, "__name__", part))
def test_interleavings(scene: Scene, guard: str, guarded: bool) -> None:
    async def play() -> bool:
        world = World()
        await scene(world)
        equal = world.destination.items == world.source.items
        await world.end()
        return equal

    with nullcontext() if guarded else GUARD[guard]():
        assert run_virtual(play()) is guarded


# --- G-1: our attributes on a row that a Java worker has taken since


async def java(world: World, shard_id: str, until: asyncio.Event) -> None:
    """A Java worker that owns the row and renews it every 20 s."""
    row = world.leases.rows[shard_id]
    world.leases.rows[shard_id] = replace(row, owner="java", counter=row.counter + 1)
    while not until.is_set():
        await asyncio.sleep(20)
        row = world.leases.rows[shard_id]
        if row.owner != "java":
            return
        world.leases.rows[shard_id] = replace(row, counter=row.counter + 1)


@contextmanager
def terms_believed() -> Iterator[None]:
    with patch.object(Lease, "terms_in_force", property(lambda self: self.terms)):
        yield


@pytest.mark.parametrize("guarded", [True, False])
def test_a_live_java_lease_with_our_old_terms_is_not_taken(guarded: bool) -> None:
    async def play() -> str | None:
        world = World()
        first = world.worker("w0", state=False).start()
        world.put("k", value=1)
        await asyncio.sleep(5)
        [shard_id] = world.stream.open_shards()
        await first.kill()
        over = asyncio.Event()
        renewing = asyncio.create_task(java(world, shard_id, over))
        world.worker("w1", state=False).start()
        await asyncio.sleep(70)
        owner = world.owner(shard_id)
        over.set()
        renewing.cancel()
        await asyncio.wait([renewing])
        await world.end()
        return owner

    with nullcontext() if guarded else terms_believed():
        assert (run_virtual(play()) == "java") is guarded


@pytest.mark.parametrize("guarded", [True, False])
def test_our_old_clean_mark_says_nothing_of_a_java_worker(guarded: bool) -> None:
    """1 w0 leaves in order; 2 Java takes the row, sends v1, and dies; 3 w1 takes it, writes v2; 4 v1 lands."""

    async def play() -> bool:
        world = World()
        first = world.worker("w0").start()
        world.put("k", value=0)
        await asyncio.sleep(5)
        await first.stop()
        [shard_id] = world.stream.open_shards()
        row = world.leases.rows[shard_id]
        assert row.clean_counter == row.counter
        world.leases.rows[shard_id] = replace(row, counter=row.counter + 1)
        world.put("k", value=1)
        stray = dict(world.source.items["k"])
        world.put("k", value=2)
        world.worker("w1").start()
        await asyncio.sleep(200)
        world.destination.items["k"] = stray
        await asyncio.sleep(130)
        equal = world.destination.items == world.source.items
        await world.end()
        return equal

    believed = patch("dynamirror.fleet.shards.predecessor", _any_mark_counts)
    with nullcontext() if guarded else believed:
        assert run_virtual(play()) is guarded


def _any_mark_counts(row: Lease) -> Predecessor:
    left_clean = row.counter == 0 or row.clean_counter is not None
    return Predecessor.NOBODY if left_clean else Predecessor.UNKNOWN
