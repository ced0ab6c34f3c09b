"""Many workers, many shards that roll and split, live traffic; workers are killed, frozen past their leases, stopped in
order, and come back. Then: equal tables, and what `shard_readers` and `at_rest` have judged all the while.

`python -m tests.bench.fleet_chaos`; SEED and STORM_S come from the environment. Requests meet no faults: those are
`chaos`'s business.
"""

import asyncio
import os
import random
import re
import sys
import tempfile
import time
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

from tests.bench.at_rest import AtRest, Versions
from tests.bench.fleet import Worker
from tests.bench.fleet_result import BALANCE_S_MAX, FleetPlan, FleetResult
from tests.bench.fleet_traffic import FleetTraffic, look
from tests.bench.proxy import FaultProxy
from tests.bench.rolling import RollPlan
from tests.bench.shard_readers import ShardReaders
from tests.bench.shards import ManyShards
from tests.bench.signature import Credential
from tests.bench.tables import DirectTable, differences
from tests.bench.upstream import Upstream
from tests.support.dynamodb_local import SECRET_KEY, DynamoDBLocal, new_access_key

SOURCE_REGION, DESTINATION_REGION = "us-east-1", "eu-west-1"
SOURCE, DESTINATION, TASK = "Orders", "Copy", "fleet"
LEASES = f"DynamoDBCrossRegionReplication{TASK}"
START_S_MAX = 90.0
# Workers that may be away at the same time.
AWAY_MAX = 2
# Past the lease of 10 s, and at most so much.
FROZEN_S = (11.0, 15.0)
STOP_S_MAX = 10.0
# From one act to the next, of each of those that may be away: leases move meanwhile.
PAUSE_S = (1.0, 5.0)
ACTS = ("kill", "freeze", "stop")

_EVENT = re.compile(r"event=(lease_\w+|leases_\w+|unclean_start|left_late\w*|sent_late\w*)")


class Place:
    """Where one worker of the fleet runs, one process after the other. Each process has an access key of its own, by
    which the judges tell them apart."""

    def __init__(self, proxy: FaultProxy, flags: list[str], database: str, log: Path) -> None:
        self.away = False
        self.log = log
        self._proxy = proxy
        self._flags = flags
        self._database = database
        self.worker = self._new()

    async def start(self) -> None:
        """A new process."""
        self.worker = self._new()
        await self.worker.start()

    def _new(self) -> Worker:
        self.key = new_access_key()
        self._proxy.credentials[self.key] = Credential(SECRET_KEY, database=self._database)
        return Worker(self._flags, self.key, self.log)


class FleetChaos:
    """One run. `folder` takes the workers' output."""

    def __init__(self, plan: FleetPlan, local: DynamoDBLocal, folder: Path) -> None:
        self._plan = plan
        self._local = local
        self._folder = folder
        self._random = random.Random(plan.seed)
        self._key = new_access_key()
        self._arn = local.create_table(self._key, SOURCE, SOURCE_REGION)
        local.create_table(self._key, DESTINATION, DESTINATION_REGION, stream=None)
        self._result = FleetResult(plan)
        self._places: list[Place] = []
        self._readers: ShardReaders

    async def run(self) -> FleetResult:
        """Start all, a storm, quiet until equal and spread, or given up."""
        plan, result = self._plan, self._result
        versions = Versions()
        async with AsyncExitStack() as stack:
            upstream = await stack.enter_async_context(Upstream(self._local.url))
            source = DirectTable(upstream, (self._key, SOURCE_REGION), SOURCE)
            destination = DirectTable(upstream, (self._key, DESTINATION_REGION), DESTINATION)
            proxy = await stack.enter_async_context(FaultProxy(self._local.url, {}, plan.seed))
            stream = await proxy.shard_stream((self._key, SOURCE_REGION), self._arn, plan.shards, plan.seed)
            stream.behaviour.lag_s = 2.0
            readers = self._readers = ShardReaders(lambda shard_id: stream.shard(shard_id).parent_id, LEASES)
            rest = AtRest(DESTINATION, versions)
            proxy.watchers += [readers, rest]
            stack.push_async_callback(self._kill_all)
            await self._start_all(proxy)
            readers.begin()
            async with asyncio.TaskGroup() as group:
                looking = group.create_task(look(destination, rest))
                await self._storm(proxy, stream, FleetTraffic(source, versions, self._random, plan.changes_per_s))
                quiet_s = time.monotonic()
                await self._settle(source, destination, quiet_s)
                await self._balance(DirectTable(upstream, (self._key, SOURCE_REGION), LEASES), quiet_s)
                looking.cancel()
            for place in self._places:
                await self._stop(place)
            result.changes, result.shards = versions.made, stream.counts
            result.faults += readers.faults
            result.readers_at_once_max, result.handed_on = readers.at_once_max, readers.handed_on
            result.puts, result.readings = rest.puts, rest.readings
            result.older_times, result.older_longest_s, result.older_longest = rest.times, rest.longest_s, rest.longest
            for place in self._places:
                result.events += Counter(_EVENT.findall(place.log.read_text(errors="replace")))
        return result

    async def _start_all(self, proxy: FaultProxy) -> None:
        flags = ["replicate", "--dont-publish-cloudwatch", "--task-name", TASK]
        flags += ["--source-region", SOURCE_REGION, "--source-table", SOURCE, "--source-endpoint", proxy.url]
        flags += ["--destination-region", DESTINATION_REGION, "--destination-table", DESTINATION]
        flags += ["--destination-endpoint", proxy.url, "--stray-life", f"{self._plan.stray_life_s:g}s"]
        for number in range(self._plan.workers):
            place = Place(proxy, flags, self._key, self._folder / f"worker{number}.log")
            self._places.append(place)
            await place.start()
        async with asyncio.timeout(START_S_MAX):
            while not all(place.worker.started for place in self._places):
                await asyncio.sleep(0.2)
                self._watch()

    async def _storm(self, proxy: FaultProxy, stream: ManyShards, traffic: FleetTraffic) -> None:
        """All at the same time; at its end everybody is back."""
        rolling = proxy.roll(stream, RollPlan(self._plan.roll_every_s, open_max=self._plan.shards + 16))
        end_s = time.monotonic() + self._plan.storm_s
        async with asyncio.TaskGroup() as group:
            group.create_task(traffic.run())
            acts = [group.create_task(self._violence(end_s)) for _ in range(AWAY_MAX)]
            while not all(act.done() for act in acts):
                await asyncio.sleep(0.2)
                self._watch()
            rolling.cancel()
            traffic.stop()

    async def _violence(self, end_s: float) -> None:
        """One act after the other. Those that have happened least come first, else by lot."""
        while time.monotonic() < end_s:
            await asyncio.sleep(self._random.uniform(*PAUSE_S))
            act = min(ACTS, key=lambda name: (self._result.acts[name], self._random.random()))
            place = self._random.choice([one for one in self._places if not one.away])
            self._result.acts[act] += 1
            place.away = True
            match act:
                case "kill":
                    await place.worker.kill()
                    self._readers.left(place.key)
                    # Back before its leases are anybody's, or long after.
                    await asyncio.sleep(self._random.choice((0.3, 12.0)))
                    await place.start()
                case "freeze":
                    await place.worker.freeze(self._random.uniform(*FROZEN_S))
                case _:
                    await self._stop(place)
                    await asyncio.sleep(self._random.choice((0.0, 3.0)))
                    await place.start()
            place.away = False

    async def _stop(self, place: Place) -> None:
        begun_s = time.monotonic()
        code = await place.worker.terminate()
        took_s = time.monotonic() - begun_s
        self._result.stops_s.append(took_s)
        self._readers.left(place.key)
        if code != 0:
            self._result.faults.append(f"after SIGTERM: exit code {code}: {place.worker.output[-500:]}")
        elif took_s > STOP_S_MAX:
            self._result.faults.append(f"an orderly stop took {took_s:.1f} s")

    def _watch(self) -> None:
        """Nobody ends by itself: nothing happens here that a worker may end for."""
        for place in self._places:
            if not place.away and place.worker.ended is not None:
                raise AssertionError(f"exit code {place.worker.ended}: {place.worker.output[-1500:]}")

    async def _settle(self, source: DirectTable, destination: DirectTable, quiet_s: float) -> None:
        equal_since_s: float | None = None
        while (now_s := time.monotonic()) - quiet_s < self._plan.settle_s_max:
            items = await source.items()
            self._result.items = len(items)
            self._result.differences = differences(items, await destination.items())
            if self._result.differences:
                equal_since_s = None
            elif equal_since_s is None:
                equal_since_s = now_s
            elif now_s - equal_since_s >= self._plan.stay_s:
                self._result.settled_s = equal_since_s - quiet_s
                return
            await asyncio.sleep(1.0)
            self._watch()

    async def _balance(self, leases: DirectTable, quiet_s: float) -> None:
        """Wait until each living worker has its part, and nobody else anything."""
        while time.monotonic() - quiet_s < self._plan.settle_s_max + BALANCE_S_MAX:
            rows = (await leases.ask("Scan", TableName=LEASES, ConsistentRead=True))["Items"]
            owners = [
                row.get("leaseOwner", {"S": "nobody"})["S"] for row in rows if row["checkpoint"]["S"] != "SHARD_END"
            ]
            spread = self._result.spread = dict(sorted(Counter(owners).items()))
            here = len(spread) == self._plan.workers and "nobody" not in spread
            if here and max(spread.values()) - min(spread.values()) <= 1:
                self._result.balanced_s = time.monotonic() - quiet_s
                return
            await asyncio.sleep(1.0)
            self._watch()

    async def _kill_all(self) -> None:
        for place in self._places:
            await place.worker.kill()


def main() -> int:
    """The run that the environment asks for."""
    seed = int(os.environ.get("SEED") or random.SystemRandom().randrange(1_000_000))
    plan = FleetPlan(seed, storm_s=float(os.environ.get("STORM_S") or 120))
    print(plan, flush=True)
    folder = Path(tempfile.mkdtemp(prefix="fleet-chaos-"))
    with DynamoDBLocal() as local:
        result = asyncio.run(FleetChaos(plan, local, folder).run())
    print(result)
    print(f"the workers' output is in {folder}")
    return 0 if result.good else 1


if __name__ == "__main__":
    sys.exit(main())
