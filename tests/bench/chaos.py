"""A fleet of real processes through the fault proxy: live traffic, faults, kills, shards that end; then equality.

`python -m tests.bench.chaos [--late-writes] [--freezes N]`; SEED, CHANGES, FAULTS, KILLS and CLOSED come from the
environment. Exit code 0: the tables are equal, the workers never ended by themselves, and as much happened as asked.

Late writes (`--late-writes`): 1 % of BatchWriteItem is answered with a reset and carried out 3 to 20 s later, which
only a fleet survives that waits before it sends for the same keys again. They are off without the flag.
One seed gives one plan of traffic and faults, not one run: processes and their timing are real.
"""

import asyncio
import os
import random
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from tests.bench.chaos_faults import Partitions, add_faults
from tests.bench.fleet import Worker
from tests.bench.proxy import FaultProxy
from tests.bench.rolling import RollPlan
from tests.bench.shards import ManyShards
from tests.bench.signature import Credential
from tests.bench.tables import DirectTable, differences
from tests.bench.traffic import Probes, Traffic
from tests.bench.upstream import Upstream
from tests.support.dynamodb_local import SECRET_KEY, DynamoDBLocal, new_access_key

SOURCE_REGION, DESTINATION_REGION = "us-east-1", "eu-west-1"
SOURCE, DESTINATION = "Orders", "Copy"
WORKERS = 2
ROOTS = 4
# On average from one kill to the next, the restart included.
KILL_EVERY_S = 9.0
CHANGES_PER_S_MAX = 700.0
# What is asked for must have happened by then, as a multiple of the time that it is meant to take.
PATIENCE = 2.5
# A shard's end waits 35 s after a doubt or an unclean start, and its child waits for that: a lineage that has fallen
# behind catches up one generation after the other.
SETTLE_S = 90.0
GENERATION_S = 40.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is made of; the least of each."""

    seed: int
    changes: int = 20_000
    faults: int = 200
    kills: int = 5
    closed: int = 12
    freezes: int = 0
    late_writes: bool = False

    @property
    def planned_s(self) -> float:
        """How long the traffic goes on."""
        return max(20.0 + (self.kills + self.freezes) * KILL_EVERY_S, self.changes / CHANGES_PER_S_MAX)

    @property
    def settle_s_max(self) -> float:
        """How long after the last change the tables may differ."""
        return SETTLE_S + GENERATION_S * self.closed / ROOTS


@dataclass(slots=True)
class Result:
    """What has happened, and how it ended."""

    plan: Plan
    changes: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    requests: dict[str, int] = field(default_factory=dict)
    kills: int = 0
    freezes: int = 0
    # Exit codes of workers that ended by themselves, with their last words.
    quits: list[tuple[int, str]] = field(default_factory=list)
    shards: Counter[str] = field(default_factory=Counter)
    items: int = 0
    differences: list[str] = field(default_factory=list)
    lags_s: list[float] = field(default_factory=list)
    traffic_s: float = 0.0
    settled_s: float = 0.0
    # Of the workers at the end, after SIGTERM.
    exit_codes: list[int] = field(default_factory=list)

    @property
    def struck(self) -> int:
        """Faults by lot: a partition's refusals are not counted."""
        return sum(count for kind, count in self.faults.items() if kind != "partition")

    @property
    def enough(self) -> bool:
        """As much has happened as the plan asks for."""
        plan = self.plan
        asked = (plan.changes, plan.faults, plan.kills, plan.closed, plan.freezes)
        done = (self.changes, self.struck, self.kills, self.shards["closed"], self.freezes)
        return all(one >= other for one, other in zip(done, asked, strict=True))

    @property
    def good(self) -> bool:
        """Equal, nothing else wrong, and enough has happened."""
        return self.enough and not self.differences and not self.quits and not any(self.exit_codes)

    def __str__(self) -> str:
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(self.faults.items()))
        lines = [
            f"seed                {self.plan.seed}{', late writes' if self.plan.late_writes else ''}",
            f"changes applied     {self.changes} over {self.items} items in {self.traffic_s:.0f} s",
            f"faults injected     {self.struck} and partitions: {kinds}",
            f"requests            {', '.join(f'{name} {count}' for name, count in self.requests.items())}",
            f"restarts            {self.kills} after kill -9; frozen {self.freezes} times",
            f"shards              {', '.join(f'{name} {count}' for name, count in sorted(self.shards.items()))}",
            f"worst lag           {max(self.lags_s):.1f} s, median {median(self.lags_s):.1f} s",
            f"equal               {self.settled_s:.1f} s after the last change",
            f"differences         {len(self.differences)}",
            *(f"  {line}" for line in self.differences[:20]),
            *(f"worker ended by itself with {code}:\n{words}" for code, words in self.quits),
        ]
        if any(self.exit_codes):
            lines.append(f"exit codes          {self.exit_codes}")
        if not self.enough:
            lines.append(f"not enough happened: {self.plan}")
        return "\n".join(lines)


class Chaos:
    """One run. `folder` takes the workers' output."""

    def __init__(self, plan: Plan, local: DynamoDBLocal, folder: Path) -> None:
        self._plan = plan
        self._local = local
        self._random = random.Random(plan.seed)
        self._key = new_access_key()
        self._arn = local.create_table(self._key, SOURCE, SOURCE_REGION)
        local.create_table(self._key, DESTINATION, DESTINATION_REGION, stream=None)
        self._folder = folder
        self._result = Result(plan)
        self._workers: list[Worker] = []
        self._down: set[Worker] = set()

    async def run(self) -> Result:
        """Traffic with faults until enough has happened, then quiet until equal, or given up."""
        async with AsyncExitStack() as stack:
            upstream = await stack.enter_async_context(Upstream(self._local.url))
            source = DirectTable(upstream, (self._key, SOURCE_REGION), SOURCE)
            destination = DirectTable(upstream, (self._key, DESTINATION_REGION), DESTINATION)
            proxy = FaultProxy(self._local.url, {self._key: Credential(SECRET_KEY)}, self._plan.seed)
            await stack.enter_async_context(proxy)
            stream = await proxy.shard_stream((self._key, SOURCE_REGION), self._arn, ROOTS, self._plan.seed)
            stack.push_async_callback(self._kill_all)
            await self._start_workers(proxy.url)
            probes = Probes(source, destination)
            probing = asyncio.create_task(probes.run())
            stack.callback(probing.cancel)
            await self._storm(proxy, stream, source)
            probes.sending = False
            await self._settle(proxy, source, destination)
            self._result.requests = dict(proxy.journal.operations().most_common())
            self._result.lags_s = probes.lags_s
            self._result.exit_codes = [await worker.terminate() for worker in self._workers]
        return self._result

    async def _start_workers(self, url: str) -> None:
        flags = ["replicate", "--dont-publish-cloudwatch", "--task-name", "chaos"]
        flags += ["--source-region", SOURCE_REGION, "--source-table", SOURCE, "--source-endpoint", url]
        flags += ["--destination-region", DESTINATION_REGION, "--destination-table", DESTINATION]
        flags += ["--destination-endpoint", url]
        for number in range(WORKERS):
            worker = Worker(flags, self._key, self._folder / f"worker{number}.log")
            await worker.start()
            self._workers.append(worker)

    async def _storm(self, proxy: FaultProxy, stream: ManyShards, source: DirectTable) -> None:
        """Traffic, faults, kills, shards that end, at the same time; then the faults are over."""
        plan, result = self._plan, self._result
        traffic = Traffic(source, random.Random(plan.seed), plan.changes / plan.planned_s * 1.1)
        _trouble(stream)
        rolling = proxy.roll(stream, RollPlan(plan.planned_s / plan.closed * 0.65))
        add_faults(proxy.faults, plan.late_writes)
        begun_s = time.monotonic()
        async with asyncio.TaskGroup() as group:
            group.create_task(traffic.run())
            partitions = group.create_task(Partitions(proxy.faults, self._random).run())
            violence = group.create_task(self._violence())
            while not result.enough and time.monotonic() - begun_s < plan.planned_s * PATIENCE:
                await asyncio.sleep(0.2)
                await self._watch()
                if result.shards["closed"] >= plan.closed:
                    # The service's shards live for hours; a chain that grows faster than it is read proves nothing.
                    rolling.cancel()
                result.changes = stream.counts["records"]
                result.faults = {kind.value: count for kind, count in proxy.faults.counts.items()}
                result.shards = stream.counts
            partitions.cancel()
            violence.cancel()
            rolling.cancel()
            traffic.stop()
        proxy.faults.clear()
        result.traffic_s = time.monotonic() - begun_s
        for worker in list(self._down):
            await self._revive(worker)

    async def _violence(self) -> None:
        """Kill and freeze workers, one at a time, so that another may take over; restart at once or late."""
        acts = ["kill"] * self._plan.kills + ["freeze"] * self._plan.freezes
        self._random.shuffle(acts)
        for act in acts:
            await asyncio.sleep(self._random.uniform(2.0, 5.0))
            worker = self._random.choice(self._workers)
            # A lease lasts 10 s: one half comes back before, the other finds its leases taken.
            away_s = self._random.choice((0.3, 11.0))
            if act == "freeze":
                await worker.freeze(11.0)
                self._result.freezes += 1
                continue
            self._down.add(worker)
            await worker.kill()
            self._result.kills += 1
            await asyncio.sleep(away_s)
            await self._revive(worker)

    async def _revive(self, worker: Worker) -> None:
        await worker.start()
        self._down.discard(worker)

    async def _watch(self) -> None:
        """A worker that has ended by itself is a failure; the run goes on with a new one."""
        for worker in self._workers:
            if worker not in self._down and worker.ended is not None:
                self._result.quits.append((worker.ended, worker.last_words()))
                await worker.start()

    async def _settle(self, proxy: FaultProxy, source: DirectTable, destination: DirectTable) -> None:
        """Wait for equality, and that it stays."""
        begun_s = time.monotonic()
        equal = 0
        while equal < 2 and time.monotonic() - begun_s < self._plan.settle_s_max:
            await asyncio.sleep(2.0)
            await self._watch()
            if proxy.late_pending:
                continue
            items = await source.items()
            self._result.items = len(items)
            self._result.differences = differences(items, await destination.items())
            equal = 0 if self._result.differences else equal + 1
            if equal == 1:
                self._result.settled_s = time.monotonic() - begun_s

    async def _kill_all(self) -> None:
        for worker in self._workers:
            await worker.kill()


def _trouble(stream: ManyShards) -> None:
    """Listings that lag and err, pages that are empty, ends that show late."""
    how = stream.behaviour
    how.lag_s, how.omit_rate, how.repeat_rate = 2.0, 0.05, 0.05
    how.empty_rate, how.late_end_rate = 0.03, 0.3


def main() -> int:
    """The run that the environment and the flags ask for."""
    parser = ArgumentParser(prog="chaos")
    parser.add_argument("--late-writes", action="store_true")
    parser.add_argument("--freezes", type=int, default=0)
    flags = parser.parse_args()
    environ = os.environ
    plan = Plan(
        seed=int(environ.get("SEED") or random.SystemRandom().randrange(1_000_000)),
        changes=int(environ.get("CHANGES") or 20_000),
        faults=int(environ.get("FAULTS") or 200),
        kills=int(environ.get("KILLS") or 5),
        closed=int(environ.get("CLOSED") or 12),
        freezes=flags.freezes,
        late_writes=flags.late_writes,
    )
    print(plan, flush=True)
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    with DynamoDBLocal() as local:
        result = asyncio.run(Chaos(plan, local, folder).run())
    print(result)
    print(f"the workers' output is in {folder}")
    return 0 if result.good else 1


if __name__ == "__main__":
    sys.exit(main())
