"""A fleet of real processes through the fault proxy: live traffic, faults, kills, shards that end; then equality.

`python -m tests.bench.chaos [--no-late-writes] [--freezes N] [-- FLAGS OF THE WORKERS]`; SEED, CHANGES, FAULTS, KILLS
and CLOSED come from the environment. Exit code 0: the tables are equal, the workers did not end by themselves, and as
much happened as was asked for.

Late writes: 1 % of BatchWriteItem is answered with a reset and carried out 3 to 20 s later, which only a fleet survives
that waits before it sends for the same keys again (`late_writes` shows that by itself). Workers are given
`--stray-life 20s`.
One seed gives one plan of traffic and faults, not one run: processes and their timing are real.
"""

import asyncio
import os
import random
import sys
import tempfile
import time
from argparse import ArgumentParser
from contextlib import AsyncExitStack
from pathlib import Path

from tests.bench.chaos_faults import Partitions, add_faults
from tests.bench.chaos_result import ROOTS, STAY_S, STRAY_LIFE, Plan, Result
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
# What is asked for must have happened by then, as a multiple of the time that it is meant to take.
PATIENCE = 2.5


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
        flags += ["--destination-endpoint", url, "--stray-life", STRAY_LIFE, *self._plan.worker_flags]
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
        """A worker that has ended by itself is a failure, unless it never began; the run goes on with a new one."""
        for worker in self._workers:
            if worker in self._down or worker.ended is None:
                continue
            if worker.started:
                self._result.quits.append((worker.ended, worker.output[-1500:]))
            else:
                self._result.failed_starts.append(f"exit code {worker.ended}: {worker.output[-300:]}")
            await worker.start()

    async def _settle(self, proxy: FaultProxy, source: DirectTable, destination: DirectTable) -> None:
        """Wait for equality, and that it stays. A replay after a crash may pass through older images: then again."""
        begun_s = time.monotonic()
        equal_since_s: float | None = None
        while (now_s := time.monotonic()) - begun_s < self._plan.settle_s_max:
            items = await source.items()
            self._result.items = len(items)
            self._result.differences = differences(items, await destination.items())
            if self._result.differences or proxy.late_pending:
                equal_since_s = None
            elif equal_since_s is None:
                equal_since_s = now_s
            elif now_s - equal_since_s >= STAY_S:
                self._result.settled_s = equal_since_s - begun_s
                return
            await asyncio.sleep(2.0)
            await self._watch()

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
    parser.add_argument("--no-late-writes", action="store_true")
    parser.add_argument("--freezes", type=int, default=0)
    parser.add_argument("worker_flags", nargs="*", help="after --: more flags of dynamirror replicate")
    flags = parser.parse_args()
    environ = os.environ
    plan = Plan(
        seed=int(environ.get("SEED") or random.SystemRandom().randrange(1_000_000)),
        changes=int(environ.get("CHANGES") or 20_000),
        faults=int(environ.get("FAULTS") or 200),
        kills=int(environ.get("KILLS") or 5),
        closed=int(environ.get("CLOSED") or 12),
        freezes=flags.freezes,
        late_writes=not flags.no_late_writes,
        worker_flags=tuple(flags.worker_flags),
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
