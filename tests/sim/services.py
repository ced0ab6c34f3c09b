"""A machine's own ways to what all share: the destination, which is watched, and the stream."""

from collections.abc import Sequence

from dynamirror.aws.tables import BatchWriter
from dynamirror.errors import Side, Throttled
from dynamirror.model.change import Page, Write
from dynamirror.model.shard_graph import Listing, Shard
from dynamirror.testing.faults import Fault
from tests.sim.cloud import Cloud
from tests.sim.flights import departing
from tests.sim.network import Wire


class WatchedWriter:
    """`ports.DestinationTable` over the production one: says what leaves, and meters partitions as the service does."""

    def __init__(self, cloud: Cloud, table: BatchWriter) -> None:
        self._cloud = cloud
        self._table = table

    async def write(self, writes: Sequence[Write]) -> Sequence[Write]:
        allowed = [write for write in writes if self._cloud.write_allowed(write.key)]
        refused = [write for write in writes if write not in allowed]
        if refused:
            self._cloud.counts["partition of the table throttled"] += 1
        if not allowed:
            raise Throttled(Side.DESTINATION, "injected: the partition's capacity is used up")
        with departing(allowed):
            return [*await self._table.write(allowed), *refused]


class StreamWire:
    """A machine's own way to the stream that all share."""

    def __init__(self, cloud: Cloud, wire: Wire) -> None:
        self._cloud = cloud
        self._stream = cloud.stream
        self._wire = wire
        self.retention_ms = cloud.stream.retention_ms

    async def list_shards(self) -> Listing:
        await self._wire.call("DescribeStream", _nothing)
        return await self._stream.list_shards()

    async def list_children(self, parent_id: str) -> list[Shard]:
        await self._wire.call("DescribeStream", _nothing)
        return await self._stream.list_children(parent_id)

    async def iterator_at(self, shard_id: str, checkpoint: str) -> str:
        await self._wire.call("GetShardIterator", _nothing)
        return await self._stream.iterator_at(shard_id, checkpoint)

    async def read(self, iterator: str, records_max: int) -> Page:
        await self._wire.call("GetRecords", lambda _: self._cloud.read_allowed(iterator.partition("|")[0]))
        return await self._stream.read(iterator, records_max)


def _nothing(fault: Fault) -> None:
    """The stream itself answers."""
