"""What the rooms that drive replication ask of the outside world.

`aws/` answers with the real services, `testing/` with in-memory ones that follow the same semantics and can
be made to fail. Every method may raise the errors of `errors.py`; those named here are the ones a caller handles.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from msgspec import Raw

from dynamirror.model.as_read import AsRead
from dynamirror.model.change import Page, Write
from dynamirror.model.diff import Item
from dynamirror.model.item_key import ItemKey
from dynamirror.model.key import Key, KeySchema
from dynamirror.model.lease import Lease, Update
from dynamirror.model.shard_graph import Listing, Shard
from dynamirror.model.table_definition import Throughput


class Clock(Protocol):
    """Time, injected so that a fleet can run on virtual time."""

    def boottime_s(self) -> float:
        """Seconds that only grow, also while the machine sleeps (CLOCK_BOOTTIME)."""

    def wall_s(self) -> float:
        """Seconds since the epoch, as this machine believes."""

    async def sleep(self, delay_s: float) -> None:
        """Wait; cancellable."""


@dataclass(frozen=True, slots=True)
class TableFacts:
    """What DescribeTable says of a table, as far as replication needs it."""

    arn: str
    table_id: str
    schema: KeySchema
    status: str
    # The stream that is on now; None when the stream is off.
    stream_arn: str | None = None
    stream_view_type: str | None = None
    # As of the service's last count, up to six hours ago; 0: not known.
    items: int = 0
    size_bytes: int = 0
    # Units a second that it can do at once, as far as the service says: provisioned ones; of an on-demand table its
    # maximum, or else its warm throughput.
    capacity: Throughput = field(default_factory=Throughput)
    # The last stream, on or off: one that is off can be read for as long as it keeps changes. None: there was none.
    last_stream_arn: str | None = None


class ChangeStream(Protocol):
    """One stream, by its ARN."""

    @property
    def retention_ms(self) -> int:
        """How long a change can be read."""

    async def list_shards(self) -> Listing:
        """All pages of DescribeStream. Raises NotFound when the stream is gone."""

    async def list_children(self, parent_id: str) -> list[Shard]:
        """The children of one shard that are listed now (may be incomplete)."""

    async def iterator_at(self, shard_id: str, checkpoint: str) -> str:
        """An iterator for TRIM_HORIZON, LATEST, or the place right after a sequence number.

        Raises Trimmed when the place is no longer there, ShardGone when the shard is not.
        """

    async def read(self, iterator: str, records_max: int) -> Page:
        """The next page. Raises IteratorExpired, Trimmed, ShardGone, Throttled."""


class DestinationTable(Protocol):
    """The table that is written."""

    async def write(self, writes: Sequence[Write]) -> Sequence[Write]:
        """One BatchWriteItem of at most 25 writes, no key twice; returns those that were not processed.

        One attempt, no retries beneath it. Raises Throttled (none was applied), Unanswered (any may have been, or
        may still be), Unreachable, CredentialsExpired, ItemRefused (none was applied; at least one never can be), Stop.
        """


@dataclass(frozen=True, slots=True)
class ItemsRead:
    """What a reading by key found. A key that is neither here nor there has no item."""

    items: Mapping[Key, Item]
    # Not looked up this time (throttled, or the answer was full): to be asked for again, after a pause.
    unprocessed: Collection[Key] = ()
    # Read units that the service charged; None: it does not say.
    units: float | None = None


class ItemReader(Protocol):
    """A table whose items are read by key."""

    async def read(self, keys: Sequence[ItemKey]) -> ItemsRead:
        """One BatchGetItem of at most 100 keys, none twice, all read consistently; up to 16 MB of items.

        One attempt. Raises Retry (read nothing), Stop.
        """


@dataclass(frozen=True, slots=True)
class ScanPage:
    """One page of a Scan: items verbatim, as JSON."""

    items: Sequence[Raw]
    # ExclusiveStartKey of the next page, as JSON; empty: this was the last one.
    last_key: bytes
    size_bytes: int
    # Read units that the service charged; None: it does not say.
    units: float | None = None


class ItemSource(Protocol):
    """The table that is copied."""

    async def scan(self, segment: int, segments: int, after: bytes, items_max: int) -> ScanPage:
        """One page of one segment of a parallel Scan, read consistently; `after` empty: the segment's first.

        One attempt. Raises Retry, Stop.
        """


class ItemTable(ItemReader, Protocol):
    """A table whose items are also replaced one by one, each on a condition."""

    async def replace(self, key: ItemKey, seen: AsRead, wanted: Item | None) -> None:
        """Put `wanted`, or delete the item where it is None, if the item still is as it was seen.

        One attempt. Raises ConditionFailed (it is not), Throttled and its like (nothing was applied), Unanswered
        (it may have been, or may still be, also when the condition holds only later), ItemRefused, Stop.
        """


class LeaseStore(Protocol):
    """The lease table of the task."""

    @property
    def unreadable(self) -> Collection[str]:
        """Shards whose rows the last scan left out: what they say is not known."""

    async def scan(self, consistent: bool = False) -> list[Lease]:
        """All lease rows, eventually consistent unless asked otherwise.

        Rows that are no leases are reported once and left out (P-5).
        """

    async def get(self, shard_id: str) -> Lease | None:
        """One row, read consistently. Raises Retry for a row that is no lease: it is not the same as no row."""

    async def create(self, lease: Lease) -> bool:
        """Create a row; False when there is one already (which is left as it is)."""

    async def delete(self, lease: Lease) -> None:
        """Remove a finished row that still is as it was read. Raises ConditionFailed when it is not, or is gone."""

    async def update(self, update: Update) -> None:
        """Carry the update out, never creating a row. Raises ConditionFailed when the row was no longer `before`."""


class MetricSink(Protocol):
    """Where figures go. Calls are cheap and never fail."""

    def count(self, name: str, amount: float = 1) -> None:
        """Add to a counter of observe/metrics."""

    def gauge(self, name: str, value: float) -> None:
        """Set a gauge of observe/metrics."""

    def observe(self, name: str, value: float) -> None:
        """Add one observation to a distribution of observe/metrics."""

    def sample(self, name: str, shard_id: str, value: float) -> None:
        """One observation of a figure that is kept by shard, where it is published (observe/published)."""
