"""End-to-end lag under steady traffic: the real command between two Regions of one DynamoDB Local."""

import asyncio
import random
from dataclasses import dataclass
from itertools import count

from bench.pages import ITEM_BYTES
from bench.process import Place, measured, replicate
from dynamirror.engines.assemble import SystemClock
from dynamirror.engines.assemble_demo import own_environment, stage_on
from dynamirror.engines.demo.facts import ACCESS_KEY, DESTINATION_REGION, SOURCE_REGION, TABLE
from dynamirror.engines.demo.lag import LagProbe
from dynamirror.engines.demo.play import Stage
from dynamirror.engines.embedded import Embedded
from dynamirror.engines.traffic import HASH_KEY, RANGE_KEY, Step, Written, write
from tests.support.dynamodb_local import DynamoDBLocal

# Every fifth change is timed; timing them all would keep the database busier than the traffic does.
_PROBES_A_SECOND = 20
_WARM_UP_S = 3.0
_TIMEOUT_S = 60.0
_PAYLOAD = {"note": {"S": "n" * (ITEM_BYTES - 60)}}


@dataclass(frozen=True, slots=True)
class SteadyLag:
    """From a write's answer at the source to the item's sight at the destination (looked for every 10 ms)."""

    database: str
    changes_a_second: float
    seconds: float
    samples: int
    p50_ms: float
    p99_ms: float
    # Of the replicating process.
    rss_max_mb: float


async def steady_lag(rate: float, seconds: float) -> SteadyLag:
    """Measure it. Raises tests.support.dynamodb_local.Unavailable where Java or Maven is missing."""
    with DynamoDBLocal() as local, own_environment() as environ:
        database = Embedded("DynamoDB Local", local.url)
        async with stage_on(database, environ) as stage:
            source, destination = (Place(r, local.url, TABLE) for r in (SOURCE_REGION, DESTINATION_REGION))
            with measured(replicate(source, destination, local.url), ACCESS_KEY) as program:
                await asyncio.wait_for(_probe(stage).once(), _TIMEOUT_S)
                await _drive(stage, rate, _WARM_UP_S)
                lag = (await _drive(stage, rate, seconds)).lag()
                cost = program.end()
    assert lag is not None
    return SteadyLag(database.name, rate, seconds, lag.samples, lag.p50_ms, lag.p99_ms, cost.rss_max_mb)


async def _drive(stage: Stage, rate: float, seconds: float) -> LagProbe:
    """`rate` changes a second of 1 KB, probes among them; returns when every probe has arrived."""
    probe, stop, clock = _probe(stage), asyncio.Event(), SystemClock()
    others = rate - _PROBES_A_SECOND
    async with asyncio.timeout(seconds + _TIMEOUT_S), asyncio.TaskGroup() as group:
        group.create_task(write(_Items().next, stage.source, clock, others, stop, Written()))
        group.create_task(probe.run(1 / _PROBES_A_SECOND, stop))
        await clock.sleep(seconds)
        stop.set()
    return probe


def _probe(stage: Stage) -> LagProbe:
    return LagProbe((stage.source, TABLE), (stage.destination, TABLE), stage.clock, _PAYLOAD)


class _Items:
    """1 KB items on keys of their own."""

    def __init__(self) -> None:
        self._number = count(random.getrandbits(40))

    def next(self) -> Step:
        key = {HASH_KEY: {"S": f"item-{next(self._number)}"}, RANGE_KEY: {"S": "-"}}
        return Step("inserts", "PutItem", {"TableName": TABLE, "Item": key | _PAYLOAD})
