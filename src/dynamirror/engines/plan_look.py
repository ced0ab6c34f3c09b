"""What a plan and a start look at alike: the pair, its stream, who reads it, the rights; each with what it finds.

The looks do not wait for each other. None of them changes anything, and none raises what a service refuses.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from dynamirror.engines.missing_tables import missing_destination, missing_source
from dynamirror.engines.plan_facts import (
    Asked,
    Mappings,
    Sample,
    TableSeen,
    find_mappings,
    find_tasks,
    list_shards,
    read_table,
    sample_items,
)
from dynamirror.engines.plan_judge import (
    Readers,
    definition_to_make,
    judge_destination,
    judge_destination_to_make,
    judge_readers,
    judge_source,
    judge_stream,
    refusal,
)
from dynamirror.engines.reach import Control, Reach
from dynamirror.engines.stream_check import check_readable
from dynamirror.errors import DynamirrorError, NotFound, Refused, Retry, Side, Stop
from dynamirror.model.estimate import CopyEstimate, Load, estimate_copy, limited, write_rate
from dynamirror.model.finding import Finding
from dynamirror.model.prices import Overrides, tariff
from dynamirror.model.shard_graph import Listing
from dynamirror.model.table_definition import TableDefinition
from dynamirror.ports import Clock
from dynamirror.settings.groups import ReplicationSettings


@dataclass(frozen=True, slots=True)
class Pair:
    """Both tables, or why they are not to be seen."""

    source: TableSeen | DynamirrorError
    destination: TableSeen | DynamirrorError

    @property
    def here(self) -> TableSeen | None:
        """The source, if it was seen."""
        return self.source if isinstance(self.source, TableSeen) else None

    @property
    def there(self) -> TableSeen | None:
        """The destination, if it was seen."""
        return self.destination if isinstance(self.destination, TableSeen) else None


class Look:
    """Looks with the connections of a task."""

    def __init__(
        self,
        reach: Reach,
        settings: ReplicationSettings,
        clock: Clock,
        mappings: Mappings | None,
        *,
        will_be_made: bool = False,
    ) -> None:
        """`mappings`: who asks Lambda; None: not known. `will_be_made`: a destination that is missing."""
        self._reach = reach
        self._settings = settings
        self._clock = clock
        self._mappings = mappings
        self._will_be_made = will_be_made
        self._source = Asked(reach.source, Side.SOURCE, clock)
        self._streams = Asked(reach.streams, Side.SOURCE, clock)
        self._destination = Asked(reach.destination, Side.DESTINATION, clock)
        self.state = Asked(reach.state, Side.STATE, clock)

    async def pair(self) -> Pair:
        """Both tables as they are described now."""
        near, far = self._settings.source, self._settings.destination
        seen = await asyncio.gather(
            _seen(self._source, self._reach.source_control, near.table, near.region),
            _seen(self._destination, self._reach.destination_control, far.table, far.region),
        )
        return Pair(*seen)

    async def of_source(self, pair: Pair) -> list[Finding]:
        """The table that is read, and some of its items."""
        if isinstance(pair.source, NotFound):
            return [refusal("source", missing_source(self._settings, self._reach.source.url))]
        if not isinstance(pair.source, TableSeen):
            return [refusal("source", pair.source)]
        sample = await sample_items(self._source, pair.source.name)
        return list(judge_source(pair.source, sample, self._settings))

    async def of_destination(self, pair: Pair, *, copied: bool) -> list[Finding]:
        """The table that is written. `copied`: items in it may be the task's own, which is no reason to refuse it."""
        there = pair.destination
        if isinstance(there, TableSeen):
            sample = Sample(0) if copied else await sample_items(self._destination, there.name, 1)
            return list(judge_destination(there, pair.here, sample, self._settings))
        if isinstance(there, NotFound):
            if self._will_be_made:
                return list(judge_destination_to_make(pair.here, self._settings))
            schema = pair.here.facts.schema if pair.here is not None else None
            there = missing_destination(self._settings, self._reach.destination.url, schema)
        return [refusal("destination", there)]

    async def of_stream(self, here: TableSeen | None) -> tuple[Listing | None, list[Finding]]:
        """The source's stream; one that is off is asked for with the rights that reading it will need."""
        if here is None:
            return None, []
        if here.facts.stream_arn is None:
            try:
                await check_readable(self._reach.streams, here.facts, self._clock)
            except (Stop, Retry) as error:
                return None, [refusal("stream", error)]
            return None, []
        listing = await list_shards(self._streams, here.facts.stream_arn)
        return (listing if isinstance(listing, Listing) else None), list(judge_stream(listing))

    async def of_readers(self, here: TableSeen | None) -> tuple[Readers, list[Finding]]:
        """Who reads the stream already."""
        if here is None or here.facts.stream_arn is None:
            return Readers(), []
        mappings, tasks = await asyncio.gather(
            find_mappings(self._streams, self._mappings, here.facts.stream_arn), find_tasks(self.state)
        )
        readers = Readers(mappings, tasks, here.replicas)
        return readers, list(judge_readers(readers, here, self._settings.task.lease_table))


def written_of(settings: ReplicationSettings, source: TableSeen, destination: TableSeen | None) -> TableDefinition:
    """How the table that is written is defined, or will be; as the source is where that is not known."""
    if destination is not None:
        return destination.definition
    with suppress(Refused):
        return definition_to_make(source.definition, settings)
    return source.definition


def load_of(settings: ReplicationSettings, source: TableSeen, destination: TableSeen | None) -> Load:
    """What there is to copy."""
    like = written_of(settings, source, destination)
    crosses = settings.source.region != settings.destination.region
    return Load(source.items, source.size_bytes, len(like.global_indexes), len(like.local_indexes), crosses)


def copy_of(
    settings: ReplicationSettings,
    source: TableSeen,
    destination: TableSeen | None,
    units_s: float | None = None,
    prices: Overrides | None = None,
) -> CopyEstimate:
    """Time and cost of a copy. `units_s`: write units a second that the destination takes, where somebody knows."""
    written = written_of(settings, source, destination)
    tariffs = (
        tariff(settings.source.region, source.definition.table_class, prices or {}),
        tariff(settings.destination.region, written.table_class, prices or {}),
    )
    rate = write_rate(written if destination is not None or settings.clone.wanted else None, units_s)
    load, most = load_of(settings, source, destination), settings.rate
    capacity = destination.facts.capacity.write if destination is not None else None
    rate = limited(
        rate,
        load,
        most.read.of(source.facts.capacity.read) if most.read else None,
        most.write.of(capacity or rate.units_s) if most.write else None,
    )
    return estimate_copy(load, rate, *tariffs)


async def _seen(asked: Asked, control: Control, name: str, region: str) -> TableSeen | DynamirrorError:
    try:
        return await read_table(asked, control, name, region)
    except (Stop, Retry) as error:
        return error
