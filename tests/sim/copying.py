"""A simulated worker's share in a copy: begun as the command begins it, read from a table that gives pages at its own
pace."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, TypeVar, cast

from dynamirror.aws.connect import Connections
from dynamirror.engines.begin_copy import begun
from dynamirror.engines.preflight import Facts
from dynamirror.errors import Retry, Side
from dynamirror.model.shard_graph import Start
from dynamirror.ports import Clock, ScanPage, TableFacts
from dynamirror.settings.groups import (
    CopySettings,
    DestinationSettings,
    HoldSettings,
    ReplicationSettings,
    SourceSettings,
    TaskSettings,
)
from dynamirror.testing.faults import Fault
from dynamirror.testing.memory_scan import MemoryScan
from tests.sim.cloud import CODEC, INCARNATION, LEASES, STATE, TARGET, Cloud
from tests.sim.network import Wire
from tests.support.memory_caller import MemoryCaller

T = TypeVar("T")


class SourceService:
    """The source table's service, called by its wire protocol: it answers a Scan, without items, with its time."""

    url = "https://memory.invalid/"

    def __init__(self, cloud: Cloud, wire: Wire) -> None:
        self._cloud = cloud
        self._wire = wire
        self.served_s = 0.0

    async def call(self, operation: str, body: bytes) -> bytes:
        assert operation == "Scan", operation

        def effect(_: Fault) -> float:
            return self._cloud.clock.wall_s()

        # Whole seconds, as a Date header has them.
        self.served_s = float(int(await self._wire.call(operation, effect)))
        return b'{"Items":[]}'


class SourceScan:
    """`ports.ItemSource` over the source: so many pages in a time, and each is old when it arrives."""

    def __init__(self, cloud: Cloud, wire: Wire, clock: Clock, draw: Callable[[], float]) -> None:
        self._cloud = cloud
        self._wire = wire
        self._clock = clock
        self._draw = draw
        self._scan = MemoryScan(CODEC, cloud.source.items, self)  # type: ignore[arg-type]

    async def call(self, operation: str, effect: Callable[[Fault], T]) -> T:
        """See Line.call."""

        def metered(fault: Fault) -> T:
            self._cloud.scan_allowed()
            return effect(fault)

        return await self._wire.call(operation, metered)

    async def scan(self, segment: int, segments: int, after: bytes, items_max: int) -> ScanPage:
        """See ports.ItemSource."""
        page = await self._scan.scan(segment, segments, after, items_max)
        least_s, most_s = self._cloud.service.scan_takes_s
        if most_s:
            # Most are quick: a copier that finds its pages slow makes them smaller.
            await self._clock.sleep(least_s + (most_s - least_s) * self._draw() ** 4)
        return page


async def begin(
    sides: tuple[SourceService, MemoryCaller, MemoryCaller], copy: CopySettings, hold: HoldSettings, clock: Clock
) -> Start:
    """Announce the copy, as `replicate --copy` does before anything else, until it succeeds; where to begin."""
    source, destination, state = sides
    connections = SimpleNamespace(source=source, destination=destination, state=state)
    wanted = CopySettings(wanted=True, allow_non_empty=True, segments=copy.segments)
    settings = ReplicationSettings(
        SourceSettings("us-east-1", "source"),
        DestinationSettings("eu-west-1", TARGET),
        TaskSettings("us-east-1", None, LEASES, True),
        hold=hold,
        copy=wanted,
    )
    table = TableFacts("arn", INCARNATION.lease_table_id, CODEC.schema, "ACTIVE")
    facts = Facts(table, table, INCARNATION.stream_arn, table, cast(Any, STATE))
    while True:
        try:
            return (await begun(cast(Connections, connections), facts, settings, clock, "copy")).read.start
        except Retry:
            await clock.sleep(0.5)


def callers(cloud: Cloud, wire: Callable[[Side, str], Wire]) -> tuple[SourceService, MemoryCaller, MemoryCaller]:
    """The sides that the command talks to before it copies."""
    return (
        SourceService(cloud, wire(Side.SOURCE, "source")),
        MemoryCaller(Side.DESTINATION, cloud.database, wire(Side.DESTINATION, "destination")),  # type: ignore[arg-type]
        MemoryCaller(Side.STATE, cloud.database, wire(Side.STATE, "copy")),  # type: ignore[arg-type]
    )
