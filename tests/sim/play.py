"""One run of one seed: load, faults, then calm, in which everything must come to rest, equal and in order."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from dynamirror.errors import DynamirrorError, Side
from dynamirror.model.diff import first_difference
from dynamirror.settings.groups import WriteSettings
from dynamirror.testing.virtual_time import Standstill, run_virtual
from tests.sim.checks import Violated
from tests.sim.cloud import Cloud
from tests.sim.network import ATTEMPT_S, STRAY_S
from tests.sim.worker import Worker

# Until the last stray of the last fault has landed and what it spoilt is mended: second sendings and reconcile wait
# T + L, after a freeze that ended with the faults a proof and a reading more.
SETTLED_S = 2 * (ATTEMPT_S + STRAY_S) + 20
CALM_MAX_S = 200.0
OWNED_MAX_S = 130.0


@dataclass(frozen=True, slots=True)
class Profile:
    """What may happen in a run, as chances of a turn (of about a second); `share`: of the calls that fail."""

    turns: int = 60
    share: float = 0.08
    # One is drawn for the run.
    share_factors: tuple[float, ...] = (0.0, 0.5, 1.0, 2.0)
    # Calls to these fail, in ways of these weights (None: as network.KINDS says).
    sides: frozenset[Side] = frozenset(Side)
    kinds: Mapping[str, float] | None = None
    keys: int = 40
    roll: float = 0.05
    split: float = 0.02
    kill: float = 0.05
    stop: float = 0.04
    start: float = 0.15
    freeze: float = 0.05
    freezes_s: tuple[float, ...] = (2.0, 9.0, 15.0, 40.0, 70.0)
    # So many of the freezes strike at the moment a batch leaves.
    at_send: float = 0.3
    partition: float = 0.04
    step_clock: float = 0.02
    hide: float = 0.04
    empty: float = 0.05
    workers_max: int = 3
    # None: drawn; values repeat (toggles) or are all different.
    repeats: bool | None = None
    write: WriteSettings = field(default_factory=WriteSettings)


@dataclass(slots=True)
class Outcome:
    """What a run came to. `failure` None: every promise was kept."""

    seed: int
    failure: str | None
    counts: Counter[str]


class Play:
    """One run."""

    def __init__(self, seed: int, profile: Profile, say: Callable[[str], None] | None = None) -> None:
        self._draw = random.Random(seed)
        self._profile = profile
        self._say = say
        self.cloud = Cloud(shards=self._draw.choice([1, 1, 2, 4]))
        self.workers: list[Worker] = []
        self._made = 0
        self._repeats = profile.repeats if profile.repeats is not None else self._draw.random() < 0.3
        self._share = profile.share * self._draw.choice(profile.share_factors)
        self._later: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        self._start()
        for _ in range(self._profile.turns):
            for _ in range(self._draw.choice([0, 1, 3, 10, 40])):
                self.cloud.change_something(self._draw, self._repeats, self._profile.keys)
            await self._event()
            await asyncio.sleep(self._draw.random() * 2)
            self._check()
        await self._calm()

    # --- what goes wrong

    async def _event(self) -> None:
        draw, profile = self._draw, self._profile
        alive = [worker for worker in self.workers if worker.alive]
        if draw.random() < profile.roll:
            self._tell(f"roll {self.cloud.stream.roll(draw.choice(self.cloud.stream.open_shards()))}")
            self.cloud.counts["roll"] += 1
        if draw.random() < profile.split and len(self.cloud.stream.open_shards()) < 8:
            children = self.cloud.stream.split(draw.choice(self.cloud.stream.open_shards()))
            self.cloud.counts["split"] += 1
            self._tell(f"split {children}")
            if draw.random() < 0.5:
                self._hide(draw.choice(children))
        if draw.random() < profile.empty:
            self.cloud.counts["empty pages"] += 1
            self.cloud.stream.send_empty_pages(draw.choice(self.cloud.stream.open_shards()), draw.randint(1, 5))
        if draw.random() < profile.hide:
            self._hide(draw.choice(self.cloud.stream.open_shards()))
        if alive:
            await self._hurt(draw.choice(alive))
        if draw.random() < profile.start and len(alive) < profile.workers_max:
            self._start()

    async def _hurt(self, worker: Worker) -> None:
        draw, profile = self._draw, self._profile
        # A process that was frozen past its lease, sends, and dies at once, is what nobody can mend.
        rested_s = asyncio.get_running_loop().time() - worker.machine.thawed_at_s
        if draw.random() < profile.kill and rested_s > 20 and not worker.machine.frozen:
            self._tell(f"kill {worker.name}")
            self.cloud.counts["kill"] += 1
            await worker.kill()
            return
        if draw.random() < profile.stop and not worker.machine.frozen:
            self._tell(f"stop {worker.name}")
            self.cloud.counts["stop"] += 1
            worker.stopping.set()
        if draw.random() < profile.freeze and not worker.machine.frozen:
            self._tell(f"freeze {worker.name}")
            seconds = draw.choice(profile.freezes_s)
            if draw.random() < profile.at_send:
                worker.machine.freeze_at_send_s = seconds
            else:
                self._freeze(worker, seconds)
        if draw.random() < profile.partition:
            side = draw.choice(list(Side))
            self._tell(f"partition {worker.name} from {side}")
            worker.weather.partitioned.add(side)
            self._after(draw.choice([2.0, 8.0, 30.0]), lambda: worker.weather.partitioned.discard(side))
        if draw.random() < profile.step_clock:
            self.cloud.counts["clock step"] += 1
            worker.clock.step_wall(draw.uniform(-3600, 3600))

    def _freeze(self, worker: Worker, seconds: float) -> None:
        owners = {tenure.held.lease.owner for tenure in worker.coordinator.tenures.values()}
        self.cloud.counts["freeze"] += 1
        if seconds > 10 and worker.name in owners:
            self.cloud.counts["frozen owner"] += 1
        worker.machine.freeze()
        self._after(seconds, worker.machine.thaw)

    def _hide(self, shard_id: str) -> None:
        self.cloud.counts["listing lags"] += 1
        self.cloud.stream.hidden.add(shard_id)
        self._after(self._draw.uniform(1, 40), lambda: self.cloud.stream.hidden.discard(shard_id))

    def _after(self, seconds: float, act: Callable[[], object]) -> None:
        async def later() -> None:
            await asyncio.sleep(seconds)
            act()

        self._later.append(asyncio.create_task(later()))

    def _start(self) -> None:
        self._made += 1
        worker = Worker(self.cloud, f"w{self._made}", random.Random(self._draw.random()), self._profile.write)
        worker.weather.share = self._share
        worker.weather.sides = self._profile.sides
        worker.weather.kinds = self._profile.kinds
        self.workers.append(worker.start())
        self._tell(f"start {worker.name}")

    # --- what must come of it

    async def _calm(self) -> None:
        cloud = self.cloud
        self._tell("calm")
        for task in self._later:
            task.cancel()
        cloud.stream.hidden.clear()
        for worker in self.workers:
            worker.machine.freeze_at_send_s = None
            worker.machine.thaw()
            worker.weather.share = 0.0
            worker.weather.partitioned.clear()
        if not any(worker.alive and not worker.stopping.is_set() for worker in self.workers):
            self._start()
            self.workers[-1].weather.share = 0.0
        await self._until(self._equal, CALM_MAX_S, "equal")
        await asyncio.sleep(SETTLED_S)
        self._check()
        if not self._equal():
            raise Violated(f"not equal at rest: {self._difference()}")
        await self._until(self._all_owned, OWNED_MAX_S, "every shard owned by a living worker")
        self._count_metrics()
        for worker in self.workers:
            worker.stopping.set()
        await self._until(lambda: not any(worker.alive for worker in self.workers), 6.0, "stopped")
        self._check()

    def _check(self) -> None:
        if self.cloud.checks.wrong is not None:
            raise Violated(self.cloud.checks.wrong)
        for worker in self.workers:
            if worker.task is not None and worker.task.done() and not worker.machine.dead:
                error = worker.task.exception()
                if error is not None:
                    raise Violated(f"{worker.name} ended: {sorted(map(repr, _leaves(error)))[:3]}")
            if worker.applier.requests > worker.write.requests_in_flight_max:
                raise Violated(f"{worker.name} has {worker.applier.requests} requests in flight")

    async def _until(self, holds: Callable[[], bool], limit_s: float, what: str) -> None:
        waited_s = 0.0
        while not holds():
            if waited_s > limit_s:
                raise Violated(f"not {what} within {limit_s} s: {self._difference()}")
            await asyncio.sleep(0.5)
            waited_s += 0.5
            self._check()

    def _equal(self) -> bool:
        return self._difference() is None

    def _difference(self) -> str | None:
        here, there = self.cloud.source.items, self.cloud.target
        for key in here.keys() | there.keys():
            if key not in here or key not in there:
                return f"{key} is only at the {'source' if key in here else 'destination'}"
            difference = first_difference(here[key], there[key])
            if difference is not None:
                return f"{key}: {here[key]} != {there[key]}"
        return None

    def _all_owned(self) -> bool:
        names = {worker.name for worker in self.workers if worker.alive}
        return self.cloud.checks.owners() <= names

    def _count_metrics(self) -> None:
        counts = self.cloud.counts
        for worker in self.workers:
            counts["doubt"] += int(worker.metrics.value("changes_doubtful"))
            counts["second sending"] += int(worker.metrics.value("changes_resent") > 0)
            counts["reconciled"] += int(worker.metrics.value("reconciled_items"))
            counts["applied changes"] += int(worker.metrics.value("changes_applied"))

    def _tell(self, what: str) -> None:
        if self._say is not None:
            self._say(f"{asyncio.get_running_loop().time():8.2f} s  {what}")


def run(seed: int, profile: Profile | None = None, say: Callable[[str], None] | None = None) -> Outcome:
    """Run one seed to its outcome; never raises for a broken promise."""
    plays: list[Play] = []

    async def main() -> None:
        play = Play(seed, profile or Profile(), say)
        plays.append(play)
        try:
            await play.run()
        finally:
            for worker in play.workers:
                await worker.kill()

    failure = None
    try:
        run_virtual(main())
    except (AssertionError, Standstill, DynamirrorError, BaseExceptionGroup) as error:
        failure = f"{type(error).__name__}: {error}"
    return Outcome(seed, failure, plays[0].cloud.counts if plays else Counter())


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]
