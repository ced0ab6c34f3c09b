"""What goes wrong in a run: drawn turn by turn, and all made good again when calm begins."""

import asyncio
import random
from collections.abc import Callable, Sequence

from tests.sim.cloud import Cloud
from tests.sim.process import Process
from tests.sim.profile import Profile
from tests.sim.worker import Worker

# What a partition cuts off.
PLACES = {"state": ("leases", "heartbeats", "copy", "parked", "gaps")}
# A process that was frozen past its lease, sends, and dies at once, is what nobody can mend.
RESTED_S = 20.0
FROZEN_LONG_S = 10.0
NIGHT_S = 16 * 60.0
SHARDS_MAX = 8
DEATHS = ("BatchWriteItem", "BatchWriteItem", "UpdateItem", "PutItem", "GetItem", "GetRecords", "Scan")


class Trouble:
    """One run's."""

    def __init__(self, cloud: Cloud, draw: random.Random, profile: Profile, tell: Callable[[str], None]) -> None:
        self._cloud = cloud
        self._draw = draw
        self._profile = profile
        self._tell = tell
        self._later: set[asyncio.Task[None]] = set()

    async def turn(self, alive: Sequence[Worker]) -> None:
        """About a second's worth."""
        self._service()
        if self._profile.service.retention_s is not None:
            self._cloud.stream.trim()
        if alive:
            worker = self._draw.choice(alive)
            await self._kill(worker)
            if worker.alive:
                self._hurt(worker)
        if self._chance(self._profile.night):
            await self._night(alive)

    async def hurt_java(self, java: Process, draw: random.Random) -> None:
        """With random numbers of its own."""
        profile, machine = self._profile, java.machine
        if draw.random() < profile.kill and machine.rested_s >= RESTED_S:
            if draw.random() < profile.kill_at_send:
                machine.dies_at = draw.choice(DEATHS)
                self._tell(f"{java.name} dies at its next {machine.dies_at}")
            else:
                self._tell(f"kill {java.name}")
                self._cloud.counts["kill of Java"] += 1
                await java.kill()
        elif draw.random() < profile.freeze and not machine.frozen:
            self._freeze(java, draw.choice(profile.freezes_s), draw.random() < profile.at_send)

    def calm(self, workers: Sequence[Process]) -> None:
        """Nothing goes wrong any more."""
        for task in self._later:
            task.cancel()
        self._cloud.stream.hidden.clear()
        self._cloud.crowded.clear()
        self._cloud.writes_per_s = None
        for worker in workers:
            worker.machine.freeze_at_send_s = None
            worker.machine.dies_at = None
            worker.machine.thaw()
            worker.weather.share = 0.0
            worker.weather.partitioned.clear()

    def _chance(self, chance: float) -> bool:
        return self._draw.random() < chance

    # --- at the services

    def _service(self) -> None:
        draw, profile, cloud = self._draw, self._profile, self._cloud
        shards = cloud.stream.open_shards()
        if self._chance(profile.roll):
            self._tell(f"roll {cloud.roll(draw.choice(shards))}")
        shards = cloud.stream.open_shards()
        if self._chance(profile.split) and len(shards) < SHARDS_MAX:
            children = cloud.split(draw.choice(shards))
            self._tell(f"split {children}")
            if self._chance(0.5):
                self._hide(draw.choice(children))
        shards = cloud.stream.open_shards()
        if self._chance(profile.empty):
            cloud.counts["empty pages"] += 1
            cloud.stream.send_empty_pages(draw.choice(shards), draw.randint(1, 5))
        if self._chance(profile.hide):
            self._hide(draw.choice(shards))
        if self._chance(profile.crowd):
            self._crowd(draw.choice(shards))
        if self._chance(profile.meter):
            self._meter()

    def _hide(self, shard_id: str) -> None:
        self._cloud.counts["listing lags"] += 1
        self._tell(f"hide {shard_id}")
        self._cloud.stream.hidden.add(shard_id)
        self._after(self._draw.uniform(1, 40), lambda: self._cloud.stream.hidden.discard(shard_id))

    def _crowd(self, shard_id: str) -> None:
        self._tell(f"others read {shard_id} too")
        self._cloud.crowded.add(shard_id)
        self._after(self._draw.uniform(1, 15), lambda: self._cloud.crowded.discard(shard_id))

    def _meter(self) -> None:
        def over() -> None:
            self._cloud.writes_per_s = None

        self._cloud.writes_per_s = self._draw.choice([1.0, 3.0])
        self._tell(f"partitions take {self._cloud.writes_per_s} writes a second")
        self._after(self._draw.uniform(2, 20), over)

    # --- at a worker

    async def _kill(self, worker: Worker) -> None:
        machine = worker.machine
        if not self._chance(self._profile.kill) or machine.rested_s < RESTED_S:
            return
        if self._chance(self._profile.kill_at_send):
            machine.dies_at = self._draw.choice(DEATHS)
            self._tell(f"{worker.name} dies at its next {machine.dies_at}")
            return
        self._tell(f"kill {worker.name}")
        self._cloud.counts["kill"] += 1
        await worker.kill()

    def _hurt(self, worker: Worker) -> None:
        draw, profile = self._draw, self._profile
        if self._chance(profile.stop) and not worker.machine.frozen:
            self._tell(f"stop {worker.name}")
            self._cloud.counts["stop"] += 1
            worker.stopping.set()
        if self._chance(profile.freeze) and not worker.machine.frozen:
            self._freeze(worker, draw.choice(profile.freezes_s), self._chance(profile.at_send))
        if self._chance(profile.partition):
            self._partition(worker, draw.choice(profile.partitions), draw.choice(profile.partitions_s))
        if self._chance(profile.step_clock):
            self._cloud.counts["clock step"] += 1
            worker.clock.step_wall(draw.uniform(-3600, 3600))

    def _freeze(self, worker: Process, seconds: float, at_send: bool) -> None:
        self._tell(f"freeze {worker.name} for {seconds} s{' when it sends' if at_send else ''}")
        if at_send:
            worker.machine.freeze_at_send_s = seconds
            worker.machine.freezes_at = self._draw.choice(self._profile.sends)
            return
        self._cloud.counts["freeze"] += 1
        if seconds > FROZEN_LONG_S and worker.follows():
            self._cloud.counts["frozen owner"] += 1
        worker.machine.freeze()
        self._after(seconds, worker.machine.thaw)

    def _partition(self, worker: Worker, name: str, seconds: float) -> None:
        self._tell(f"partition {worker.name} from {name} for {seconds} s")
        places = set(PLACES.get(name, (name,)))
        worker.weather.partitioned |= places
        self._after(seconds, lambda: worker.weather.partitioned.difference_update(places))

    async def _night(self, alive: Sequence[Worker]) -> None:
        self._tell("all machines sleep")
        self._cloud.counts["night"] += 1
        for worker in alive:
            worker.machine.freeze()
        await asyncio.sleep(NIGHT_S)
        for worker in alive:
            worker.machine.thaw()

    def _after(self, seconds: float, act: Callable[[], object]) -> None:
        async def later() -> None:
            await asyncio.sleep(seconds)
            act()

        task = asyncio.create_task(later(), name="trouble")
        self._later.add(task)
        task.add_done_callback(self._later.discard)
