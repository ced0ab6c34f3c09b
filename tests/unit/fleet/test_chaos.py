"""Fleets under random faults, crashes, stops, rolls and splits: in the end the tables are equal, and nobody hangs.

Late landings of writes are left out: the rule for them (doubt) is tested where it stands.
"""

import asyncio
import random

import pytest

from dynamirror.errors import Side
from dynamirror.model.lease import SHARD_END
from dynamirror.testing.faults import Fault, SeededFaults
from dynamirror.testing.virtual_time import run_virtual
from tests.unit.fleet.world import Worker, World


class Chaos:
    """One run: three workers at most, something happens every second or so."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.world = World(shards=self.draw.choice([1, 2, 5]))
        self.state = self.draw.random() < 0.8
        self.share = self.draw.choice([0.0, 0.02, 0.1])
        self.alive: list[Worker] = []
        self.started = 0

    def start(self) -> None:
        self.started += 1
        worker = self.world.worker(f"w{self.started}", state=self.state)
        kinds = {
            Side.STATE: (worker.lease_faults, worker.state_faults),
            Side.DESTINATION: (worker.write_faults,),
            Side.SOURCE: (worker.stream_faults,),
        }
        for side, cuts in kinds.items():
            seeded = SeededFaults(self.draw.random, self.share, side, 30.0 if side is Side.DESTINATION else 5.0)
            for cut in cuts:
                cut.then = seeded
        self.alive.append(worker.start())

    async def step(self, turn: int) -> None:
        draw, world = self.draw, self.world
        for _ in range(draw.randint(0, 20)):
            key = f"k{draw.randint(0, 30)}"
            if draw.random() < 0.2:
                world.source.delete({"id": {"S": key}})
            else:
                world.put(key, value=turn * 100 + draw.randint(0, 99))
        event = draw.random()
        if event < 0.05:
            world.stream.roll(draw.choice(world.stream.open_shards()))
        elif event < 0.07 and len(world.stream.open_shards()) < 8:
            world.stream.split(draw.choice(world.stream.open_shards()))
        elif event < 0.12 and self.alive:
            await self.alive.pop(draw.randrange(len(self.alive))).kill()
        elif event < 0.16 and self.alive:
            await self.alive.pop(draw.randrange(len(self.alive))).stop()
        elif event < 0.30 and len(self.alive) < 3:
            self.start()
        await asyncio.sleep(draw.random() * 2)
        for worker in self.alive:
            assert worker.task is not None
            assert not worker.task.done(), worker.task

    async def run(self) -> None:
        self.start()
        for turn in range(120):
            await self.step(turn)
        if not self.alive:
            self.start()
        for worker in self.alive:
            for cut in (worker.lease_faults, worker.state_faults, worker.write_faults, worker.stream_faults):
                cut.then = calm
        await self.world.until_equal(120)
        names = {worker.name for worker in self.alive}
        await self.world.until(lambda: set(self.world.owners()) <= names, 60)
        await self.world.until(lambda: all(worker.settled for worker in self.alive), 400)
        await self.world.until_equal(0.0)
        for worker in self.alive:
            await worker.stop()
        rows = self.world.leases.rows.values()
        assert all(row.owner is None for row in rows if row.checkpoint != SHARD_END)
        for worker in self.alive:
            assert "waiting=0, flying=0, requests=0, bytes=0" in repr(worker.applier)
        await self.world.end()


def calm(operation: str) -> Fault | None:
    return None


@pytest.mark.parametrize("seed", [*range(40), 514])
def test_tables_are_equal_in_the_end(seed: int) -> None:
    async def scenario() -> None:
        await Chaos(seed).run()

    run_virtual(scenario())
