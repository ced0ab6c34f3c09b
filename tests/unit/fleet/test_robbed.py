"""A Java worker takes a lease while a request of ours may still land: it does not wait, so the item is compared."""

import asyncio
from dataclasses import replace

import pytest

from dynamirror.errors import Side
from dynamirror.model.lease import Terms
from dynamirror.testing.virtual_time import run_virtual
from tests.unit.fleet.world import World, unanswered


@pytest.mark.parametrize("java", [True, False])
def test_what_may_land_on_a_java_workers_writes_is_reconciled(java: bool) -> None:
    """1 a write is sent and not answered; 2 another worker takes the lease, and writes a newer image; 3 the write
    lands. One of ours waits until nothing can land any more, and writes once more."""

    async def scenario() -> None:
        world = World()
        worker = world.worker("w").start()
        await asyncio.sleep(3)
        worker.write_faults.then = lambda operation: unanswered(Side.DESTINATION, lands_after_s=20.0)
        world.put("k")
        await asyncio.sleep(1)
        [shard_id] = world.stream.open_shards()
        row = world.leases.rows[shard_id]
        terms = None if java else Terms("next", 10_000, heartbeat=False)
        world.leases.rows[shard_id] = replace(row, owner="next", counter=row.counter + 1, terms=terms)
        await world.until(lambda: worker.metrics.value("leases_held") == 0, 30)
        assert [write.key for write in worker.late] == (["k"] if java else [])
        await world.end()

    run_virtual(scenario())


def test_what_may_land_after_a_stop_is_reconciled_beside_java() -> None:
    """The lease is left to expire, and a Java worker may steal it from its name before."""

    async def scenario() -> None:
        world = World(shards=2)
        worker = world.worker("w").start()
        await asyncio.sleep(3)
        first, second = world.stream.open_shards()
        row = world.leases.rows[first]
        world.leases.rows[first] = replace(row, owner="java", counter=row.counter + 1, terms=None)
        await world.until(lambda: worker.directory.java_beside, 20)
        worker.write_faults.then = lambda operation: unanswered(Side.DESTINATION, lands_after_s=20.0)
        world.put_many(10)
        await asyncio.sleep(1)
        await worker.stop()
        assert world.owner(second) == "w"
        assert worker.late
        await world.end()

    run_virtual(scenario())
