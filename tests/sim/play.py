"""One run of one seed: load, faults, then calm, in which everything must come to rest, equal and in order."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from dynamirror.errors import DynamirrorError
from dynamirror.model.copy import Phase
from dynamirror.model.diff import first_difference
from dynamirror.model.key import Key
from dynamirror.settings.bounds import SIGNATURE_LIFE_S
from dynamirror.testing.virtual_time import Standstill, run_virtual
from tests.sim.checks import Violated
from tests.sim.cloud import Cloud
from tests.sim.copied import check_copy, check_held
from tests.sim.java import JavaWorker
from tests.sim.limits import check_bounds, check_kept, shared_out
from tests.sim.network import ATTEMPT_S, STRAY_S
from tests.sim.process import of_its_process
from tests.sim.profile import Profile, drawn_fleet, drawn_profile, with_copy
from tests.sim.retried import retried
from tests.sim.trouble import Trouble
from tests.sim.worker import Worker

# Until the last stray of the last fault has landed and what it spoilt is mended: second sendings and reconcile wait
# T + L, after a freeze that ended with the faults a proof and a reading more.
SETTLED_S = 2 * (ATTEMPT_S + STRAY_S) + 20
CALM_MAX_S = 200.0
ITEMS_COPIED = 100
OWNED_MAX_S = 130.0
# Until what was begun after a crash may be handed over.
SHARED_MAX_S = 130.0
# Until leases have moved from a Java worker, or to one, and what was stolen from it is settled.
JAVA_SHARE_S = 60.0
STOPPED_MAX_S = 6.0


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
        self._draw_bad = random.Random(f"bad items {seed}")
        self._profile = profile
        self._say = say
        self._fleet = profile.fleet or with_copy(drawn_fleet(self._draw), random.Random(f"copy {seed}"))
        if profile.fleets:
            self._fleet = self._draw.choice(profile.fleets)
        shards = self._draw.choice([1, 1, 2, 4])
        self.cloud = Cloud(shards, self._fleet, random.Random(self._draw.random()), profile.service)
        self.workers: list[Worker] = []
        self.javas: list[JavaWorker] = []
        self._draw_java = random.Random(f"java {seed}")
        self._repeats = profile.repeats if profile.repeats is not None else self._draw.random() < 0.3
        self._share = profile.share * self._draw.choice(profile.share_factors)
        write = self._fleet.write
        self.cloud.checks.cautious = write.cautious
        least_s = min(self._fleet.strays_s, default=write.stray_life_s)
        self.cloud.checks.life.answer_s = write.attempt_timeout_s + least_s
        self._trouble = Trouble(self.cloud, self._draw, profile, self._tell)

    async def run(self) -> None:
        for number in range(self._profile.items or (ITEMS_COPIED if self._fleet.copy else 0)):
            self.cloud.had(f"k{number}", f"{self._draw.getrandbits(60):x}", self._bad())
        self._tell(f"{self._fleet}, {len(self.cloud.stream.open_shards())} shards, share of faults {self._share}")
        await self._before()
        self._start()
        for _ in range(self._profile.turns):
            if self._profile.until_copied and self._copied():
                break
            self._change()
            alive = [worker for worker in self.workers if worker.alive]
            await self._trouble.turn(alive)
            await self._javas()
            if self._draw.random() < self._profile.start and len(alive) < self._profile.workers_max:
                self._start()
            await asyncio.sleep(self._draw.random() * 2 * self._profile.turn_s)
            self._check()
        await self._calm()

    async def _before(self) -> None:
        """What the application did before there was any worker."""
        if not self._profile.before_s:
            return
        loop = asyncio.get_running_loop()
        seeded_at_s = self._profile.before_s * self._draw.uniform(0.1, 0.2)
        seeded = self._draw.random() >= self._profile.seeded
        while loop.time() < self._profile.before_s:
            if not seeded and loop.time() >= seeded_at_s:
                seeded = True
                self._tell("the destination is brought what the source has")
                self.cloud.seed()
            self._change()
            await asyncio.sleep(self._draw.random() * 2 * self._profile.turn_s)

    def _change(self) -> None:
        for _ in range(self._draw.choice(self._profile.load)):
            self.cloud.change_something(self._draw, self._repeats, self._profile.keys, self._bad())

    def _bad(self) -> bool:
        # A worker without a state table stops at the first item that is refused.
        return not self._fleet.without_state and self._draw_bad.random() < self._profile.bad

    def _start(self) -> None:
        name = f"w{len(self.workers) + 1}"
        draw = random.Random(self._draw.random())
        state = self._draw.random() >= self._fleet.without_state
        worker = Worker(self.cloud, name, draw, self._fleet, state, self._profile.date_off_s)
        worker.weather.share = self._share
        worker.weather.places = self._profile.places
        worker.weather.kinds = self._profile.kinds
        worker.weather.late_from = self._profile.late_from
        worker.machine.say = self._tell if self._say is not None else None
        self.workers.append(worker.start())
        self._tell(f"start {worker.name}")

    async def _javas(self) -> None:
        """Workers of the Java tool come, freeze and die."""
        if not self._profile.javas_max:
            return
        draw, alive = self._draw_java, [java for java in self.javas if java.alive]
        if draw.random() < self._profile.start and len(alive) < self._profile.javas_max:
            name = f"java{len(self.javas) + 1}"
            java = JavaWorker(self.cloud, name, random.Random(draw.random()), self._profile.java_failover_s)
            java.machine.say = self._tell if self._say is not None else None
            self.javas.append(java.start())
            self._tell(f"start {name}")
        elif alive:
            await self._trouble.hurt_java(draw.choice(alive), draw)

    # --- what must come of it

    async def _calm(self) -> None:
        self._tell("calm")
        self._trouble.calm([*self.workers, *self.javas])
        if not any(worker.alive and not worker.stopping.is_set() for worker in self.workers):
            self._start()
            self.workers[-1].weather.share = 0.0
        if self._fleet.copy is not None:
            if not any(worker.alive and worker.announces for worker in self.workers):
                self._start()
                self.workers[-1].weather.share, self.workers[-1].announces = 0.0, True
            await self._until(self._copied, self._profile.copied_max_s, "copied")
            check_copy(self.cloud)
        # Each generation of shards waits for its parents, and then for the hold; at most H + A.
        held_s = self._fleet.hold.hold_s + self._fleet.hold.age_s if self._fleet.copy is not None else 0.0
        # What a dead Java worker has sent may land as long as its signature is valid; each of some generations may have
        # that wait before its end, and be equal for a moment before.
        java_s = 3 * (SIGNATURE_LIFE_S + JAVA_SHARE_S) if self._profile.javas_max else 0.0
        await self._until(self._equal, CALM_MAX_S + held_s + java_s, "equal")
        await self._sleep(SETTLED_S + java_s)
        if not self._equal():
            raise Violated(f"not equal at rest: {self._difference()}")
        await self._until(self._all_followed, OWNED_MAX_S, "every shard followed by a living worker")
        await self._until(self._shared_out, SHARED_MAX_S, "shared out evenly")
        await self._mended()
        self._count_metrics()
        for java in self.javas:
            await java.kill()
        for worker in self.workers:
            worker.stopping.set()
        await self._until(lambda: not any(worker.alive for worker in self.workers), STOPPED_MAX_S, "stopped")
        self._check_nothing_left()

    async def _mended(self) -> None:
        """The destination takes everything: what is parked is tried again, and nothing differs any more."""
        kept = self.cloud.checks.parked
        left_over = [key for key in kept.keys if self._differs(key) is None]
        self.cloud.counts["parked at rest"] += len(kept.keys)
        self.cloud.counts["rows left over"] += len(left_over)
        if self._profile.rows_exact and left_over:
            raise Violated(f"rows are left over of {left_over}")
        self.cloud.database.picky = None
        await retried(self.cloud)
        keys = (self.cloud.source.items.keys() | self.cloud.target.keys()) - self.cloud.checks.images.beyond_mending
        self.cloud.counts["beyond mending"] += len(self.cloud.checks.images.beyond_mending)
        wrong = [self._differs(key) for key in keys]
        if kept.keys or any(wrong):
            raise Violated(f"after a retry {kept.keys} are parked, and different: {[one for one in wrong if one]}")

    async def _until(self, holds: Callable[[], bool], limit_s: float, what: str) -> None:
        waited_s = 0.0
        while not holds():
            if waited_s > limit_s:
                raise Violated(f"not {what} within {limit_s} s: {self._difference()}")
            await self._sleep(0.5)
            waited_s += 0.5

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._check()

    def _check(self) -> None:
        if self.cloud.checks.wrong is not None:
            raise Violated(self.cloud.checks.wrong)
        for worker in self.workers:
            if worker.task is not None and worker.task.done() and not worker.machine.dead:
                error = worker.task.exception()
                if error is not None:
                    raise Violated(f"{worker.name} ended: {sorted(map(repr, _leaves(error)))[:3]}")
            if worker.alive:
                check_bounds(worker)
                check_held(worker)
                check_kept(worker, self.cloud.checks)

    def _check_nothing_left(self) -> None:
        self._check()
        for worker in self.workers:
            if not worker.machine.dead and (worker.budget.used or worker.held.budget.used):
                raise Violated(f"{worker.name} has ended and remembers: {worker.budget}, {worker.held.budget}")
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        if left:
            raise Violated(f"tasks are left: {left}")

    def _copied(self) -> bool:
        """The copy is over, and somebody has learnt it."""
        copies = [worker.copier.copy for worker in self.workers if worker.alive and worker.copier is not None]
        return any(copy is not None and copy.phase is Phase.OVER for copy in copies)

    def _equal(self) -> bool:
        return self._difference() is None

    def _difference(self) -> str | None:
        here, there = self.cloud.source.items, self.cloud.target
        # In one order, so that one seed is one message too.
        for key in sorted(here.keys() | there.keys(), key=repr):
            difference = self._differs(key)
            excused = self.cloud.checks.is_parked(key) or key in self.cloud.checks.images.beyond_mending
            if difference is not None and not excused:
                return difference
        return None

    def _differs(self, key: Key) -> str | None:
        here, there = self.cloud.source.items, self.cloud.target
        if key not in here and key not in there:
            return None
        if key not in here or key not in there:
            return f"{key} is only at the {'source' if key in here else 'destination'}"
        return f"{key}: {here[key]} != {there[key]}" if first_difference(here[key], there[key]) else None

    def _all_followed(self) -> bool:
        """Every shard has an owner that lives, and that knows it."""
        followed = {pair for worker in (*self.workers, *self.javas) if worker.alive for pair in worker.follows()}
        checks = self.cloud.checks
        return all((checks.owner(shard_id), shard_id) in followed for shard_id in checks.unfinished())

    def _shared_out(self) -> bool:
        can_ask = not self._profile.javas_max and not self._fleet.without_state
        return not can_ask or shared_out([w.name for w in self.workers if w.alive], self.cloud.checks)

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
        play = Play(seed, profile or drawn_profile(seed), say)
        plays.append(play)
        asyncio.get_running_loop().set_task_factory(of_its_process)
        try:
            await play.run()
        finally:
            for worker in (*play.workers, *play.javas):
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
