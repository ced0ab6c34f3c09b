"""How long a copy takes, and what copying and following cost, reckoned from what a table is said to hold.

All of it rests on an average: an item of 1.1 KB takes two write units, one of 0.1 KB a whole one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from types import MappingProxyType

from dynamirror.model.prices import Tariff
from dynamirror.model.table_definition import WARM_AT_FIRST_WRITE, TableDefinition

WRITE_UNIT_BYTES = 1024
READ_UNIT_BYTES = 4096
GB = 10**9
DAY_S = 24 * 60 * 60
# As docs/LEASES.md has the row, with the names of its attributes.
LEASE_ROW_BYTES = 360
# Of each shard that is open: a shard lives for some four hours, and its row for a day longer.
ROWS_OF_SHARD = 7
_MILLION = 10**6


@dataclass(frozen=True, slots=True)
class Rate:
    """Write units a second that the destination takes, and how that is known."""

    units_s: float
    why: str


@dataclass(frozen=True, slots=True)
class Cost:
    """USD by what they are paid for."""

    parts: Mapping[str, float]

    @property
    def usd(self) -> float:
        """All together."""
        return sum(self.parts.values())


@dataclass(frozen=True, slots=True)
class Load:
    """What is copied, and where it is written besides the table itself."""

    items: int
    size_bytes: int
    global_indexes: int = 0
    local_indexes: int = 0
    # Source and destination are in two Regions.
    crosses: bool = True

    @property
    def average_bytes(self) -> int:
        """Of an item, rounded up; 0: there is none."""
        return ceil(self.size_bytes / self.items) if self.items else 0

    @property
    def units_of_item(self) -> int:
        """Write units of one item of average size, without indexes."""
        return max(1, ceil(self.average_bytes / WRITE_UNIT_BYTES))


@dataclass(frozen=True, slots=True)
class CopyEstimate:
    """A copy. The least: no item is in an index; the most: every item is in every index, whole."""

    write_units: int
    write_units_most: int
    read_units: int
    rate: Rate
    # At least: a worker, or what else writes there, may be slower. None: nothing can be written at such a rate.
    seconds: float | None
    least: Cost
    most: Cost


@dataclass(frozen=True, slots=True)
class FollowEstimate:
    """A day of following."""

    # Without any change; as long as nothing is written, polling is slow.
    at_rest: Cost
    # For each million changes, with every item in every index.
    million_changes: Cost
    # The day with as many changes as were said; None: it was not said.
    day: Cost | None


@dataclass(frozen=True, slots=True)
class Pace:
    """How one worker polls and keeps its leases, in seconds between two requests."""

    idle_poll_s: float
    heartbeat_s: float
    watch_s: float
    renew_s: float
    # All lease rows: to see who is silent, and for each listing of the shards.
    scan_s: float
    sync_s: float
    orders_s: float


def write_rate(destination: TableDefinition | None, given: float | None = None) -> Rate:
    """How fast the destination can be written; None: it will be made, on demand."""
    if given is not None:
        return Rate(given, "as given")
    if destination is None:
        return Rate(WARM_AT_FIRST_WRITE, "what a new on-demand table takes at once")
    if not destination.on_demand:
        units = destination.capacity.write if destination.capacity is not None else None
        return Rate(units or 0, "provisioned write capacity")
    warm = destination.warm.write if destination.warm is not None else None
    rate = Rate(warm or WARM_AT_FIRST_WRITE, "warm throughput" if warm else "what a new on-demand table takes at once")
    most = destination.maxima.write if destination.maxima is not None else None
    return Rate(most, "on-demand maximum") if most is not None and most < rate.units_s else rate


def limited(rate: Rate, load: Load, read_s: float | None, write_s: float | None) -> Rate:
    """The rate with the operator's limits, in units a second; that of reading as what is written meanwhile."""
    if write_s is not None and write_s < rate.units_s:
        rate = Rate(write_s, "--max-write-rate")
    reads = load.size_bytes / READ_UNIT_BYTES
    if read_s is not None and reads > 0:
        written_s = read_s * load.items * load.units_of_item * (1 + load.local_indexes) / reads
        if written_s < rate.units_s:
            rate = Rate(written_s, "--max-read-rate")
    return rate


def estimate_copy(load: Load, rate: Rate, source: Tariff, destination: Tariff) -> CopyEstimate:
    """What copying the whole table takes. A consistent Scan reads 4 KB for a unit."""
    units = load.items * load.units_of_item
    most = units * (1 + load.global_indexes + load.local_indexes)
    reads = ceil(load.size_bytes / READ_UNIT_BYTES)
    # An index of its own throughput takes its part at the same time; a local one shares the table's.
    in_line = units * (1 + load.local_indexes)
    seconds = in_line / rate.units_s if rate.units_s > 0 else None
    rest = {
        "reading the source": reads / _MILLION * source.prices.read_million,
        "transfer": load.crosses * load.size_bytes / GB * source.prices.transfer_gb,
    }
    price = destination.prices.write_million / _MILLION
    return CopyEstimate(
        units,
        most,
        reads,
        rate,
        seconds,
        _cost({"writing the destination": units * price} | rest),
        _cost({"writing the destination": most * price} | rest),
    )


def estimate_follow(
    load: Load, shards: int, pace: Pace, tariffs: tuple[Tariff, Tariff, Tariff], changes_a_day: float | None = None
) -> FollowEstimate:
    """A day of one worker; `tariffs` are source, destination, and where the leases are."""
    source, destination, state = tariffs
    at_rest = {
        "reading the stream": shards * DAY_S / pace.idle_poll_s / _MILLION * source.prices.stream_read_million,
        "leases and heartbeat": _state_cost(shards, pace, state),
    }
    indexes = load.global_indexes + load.local_indexes
    a_million = {
        "writing the destination": load.units_of_item * (1 + indexes) * destination.prices.write_million,
        "transfer": load.crosses * _MILLION * load.average_bytes / GB * source.prices.transfer_gb,
    }
    day = None
    if changes_a_day is not None:
        millions = changes_a_day / _MILLION
        day = _cost(at_rest | {what: millions * usd for what, usd in a_million.items()})
    return FollowEstimate(_cost(at_rest), _cost(a_million), day)


def storage_month(load: Load, destination: Tariff) -> float:
    """USD for a month of the copy, without its indexes."""
    return load.size_bytes / GB * destination.prices.storage_gb_month


def _state_cost(shards: int, pace: Pace, state: Tariff) -> float:
    """A heartbeat, renewals, looking at who lives and at orders: a unit each; and reading all rows of the lease table,
    for half the price, and at each listing for the whole."""
    writes = DAY_S / pace.heartbeat_s + shards * DAY_S / pace.renew_s
    of_table = ceil(shards * ROWS_OF_SHARD * LEASE_ROW_BYTES / READ_UNIT_BYTES)
    reads = DAY_S / pace.watch_s + DAY_S / pace.orders_s + of_table * (DAY_S / pace.scan_s / 2 + DAY_S / pace.sync_s)
    return (writes * state.prices.write_million + reads * state.prices.read_million) / _MILLION


def _cost(parts: Mapping[str, float]) -> Cost:
    return Cost(MappingProxyType({what: usd for what, usd in parts.items() if usd > 0}))
