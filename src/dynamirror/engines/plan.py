"""`dynamirror plan`: what a start would find, how long a copy takes and what it costs. Nothing is changed or made.

Every question is asked whatever the others answered, so that one look tells all that has to be mended. The few calls
that a service could take for writes cannot write (engines/plan_permissions).
"""

import asyncio
from dataclasses import dataclass, field

from dynamirror.aws.state_rows import Incarnation
from dynamirror.engines.plan_facts import (
    Asked,
    Mappings,
    Sample,
    TableSeen,
    find_mappings,
    find_tasks,
    found,
    list_shards,
    read_copy,
    read_pair,
    read_table,
    sample_items,
)
from dynamirror.engines.plan_judge import (
    READY,
    WARN,
    Readers,
    judge_copy,
    judge_destination,
    judge_missing_destination,
    judge_own,
    judge_pair,
    judge_readers,
    judge_rights,
    judge_settings,
    judge_source,
    judge_stream,
    refusal,
)
from dynamirror.engines.plan_permissions import Right
from dynamirror.engines.plan_rights import Found, all_rights
from dynamirror.engines.preflight import LEASE_SCHEMA
from dynamirror.engines.reach import Control, Reach
from dynamirror.engines.state_setup import STATE_SCHEMA
from dynamirror.engines.stream_check import check_readable
from dynamirror.engines.waiting import reach_aloud
from dynamirror.errors import DynamirrorError, ExitCode, NotFound, Retry, Side, Stop
from dynamirror.model.estimate import (
    CopyEstimate,
    FollowEstimate,
    Load,
    Pace,
    estimate_copy,
    estimate_follow,
    limited,
    storage_month,
    write_rate,
)
from dynamirror.model.finding import Finding, is_ready, ordered
from dynamirror.model.prices import Overrides, Tariff, tariff
from dynamirror.model.shard_graph import Listing
from dynamirror.model.task_name import lease_table_name, state_table_name
from dynamirror.ports import Clock, TableFacts
from dynamirror.settings.groups import ReplicationSettings


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What the operator knows better."""

    # Prices by name (model/prices.PRICE_NAMES), for all three sides.
    prices: Overrides = field(default_factory=dict)
    # Write units a second that the destination takes; None: as it is defined.
    write_rate: float | None = None
    # None: the cost is told for each million.
    changes_a_day: float | None = None
    # A destination that is missing will be made.
    create_destination: bool = False
    # Who asks Lambda; None: not known.
    mappings: Mappings | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """Time and money; `load` is what was reckoned with."""

    load: Load
    copy: CopyEstimate
    follow: FollowEstimate
    storage_month_usd: float
    # Of the source, the destination, and the leases.
    tariffs: tuple[Tariff, Tariff, Tariff]


@dataclass(frozen=True, slots=True)
class Plan:
    """One page of facts and what they mean. A table that is None is missing, or was not to be seen: findings tell."""

    settings: ReplicationSettings
    source: TableSeen | None
    destination: TableSeen | None
    listing: Listing | None
    readers: Readers
    # The lease table is there: a start joins the task. None: it was not to be seen.
    joins: bool | None
    rights: tuple[Right, ...]
    estimate: Estimate | None
    findings: tuple[Finding, ...]

    @property
    def ready(self) -> bool:
        """Whether a start would go through, as far as could be seen."""
        return is_ready(self.findings)

    @property
    def exit_code(self) -> ExitCode:
        """0 ready, 1 not ready."""
        return ExitCode.OK if self.ready else ExitCode.DIFFERS


async def plan(reach: Reach, settings: ReplicationSettings, clock: Clock, options: PlanOptions | None = None) -> Plan:
    """Look at everything and judge it. Raises Refused for a price that is none; whatever a service refuses is in it."""
    options = options or PlanOptions()
    tariff("", own=options.prices)
    return await _Look(reach_aloud(reach), settings, clock, options).plan()


class _Look:
    """One plan in the making."""

    def __init__(self, reach: Reach, settings: ReplicationSettings, clock: Clock, options: PlanOptions) -> None:
        self._reach = reach
        self._settings = settings
        self._options = options
        self._clock = clock
        self._source = Asked(reach.source, Side.SOURCE, clock)
        self._streams = Asked(reach.streams, Side.SOURCE, clock)
        self._destination = Asked(reach.destination, Side.DESTINATION, clock)
        self._state = Asked(reach.state, Side.STATE, clock)
        self._findings: list[Finding] = []

    async def plan(self) -> Plan:
        near, far = self._settings.source, self._settings.destination
        source, destination = await asyncio.gather(
            _seen(self._source, self._reach.source_control, near.table, near.region),
            _seen(self._destination, self._reach.destination_control, far.table, far.region),
        )
        here = source if isinstance(source, TableSeen) else None
        there = destination if isinstance(destination, TableSeen) else None
        self._findings += judge_settings(self._settings)
        lease_table, state_table = await self._own()
        copied = await self._task(here, there, lease_table, state_table)
        await self._judge_tables(source, destination, copied=copied)
        listing = await self._stream(here)
        readers = await self._readers(here)
        rights = await all_rights(self._reach, self._settings, (here, there), listing, (lease_table, state_table))
        self._findings += judge_rights(rights)
        await self._look_for_reverse()
        estimate = self._estimate(here, there, listing) if here is not None else None
        joins = None if isinstance(lease_table, DynamirrorError) else lease_table is not None
        findings = ordered(self._findings)
        return Plan(self._settings, here, there, listing, readers, joins, rights, estimate, findings)

    async def _judge_tables(
        self, source: TableSeen | DynamirrorError, destination: TableSeen | DynamirrorError, *, copied: bool
    ) -> None:
        here = source if isinstance(source, TableSeen) else None
        if isinstance(source, TableSeen):
            sample = await sample_items(self._source, source.name)
            self._findings += judge_source(source, sample, self._settings)
        else:
            self._findings.append(refusal("source", source))
        if isinstance(destination, TableSeen):
            # What a copy of this task has written is no reason to refuse it.
            sample = Sample(0) if copied else await sample_items(self._destination, destination.name, 1)
            self._findings += judge_destination(destination, here, sample, self._settings)
        elif isinstance(destination, NotFound):
            name = self._settings.destination.table
            self._findings.append(judge_missing_destination(name, here, self._options.create_destination))
        else:
            self._findings.append(refusal("destination", destination))

    async def _stream(self, source: TableSeen | None) -> Listing | None:
        if source is None:
            return None
        if source.facts.stream_arn is None:
            # With the rights that reading it will need.
            try:
                await check_readable(self._reach.streams, source.facts, self._clock)
            except (Stop, Retry) as error:
                self._findings.append(refusal("stream", error))
            return None
        listing = await list_shards(self._streams, source.facts.stream_arn)
        self._findings += judge_stream(listing)
        return listing if isinstance(listing, Listing) else None

    async def _readers(self, source: TableSeen | None) -> Readers:
        if source is None or source.facts.stream_arn is None:
            return Readers()
        arn = source.facts.stream_arn
        mappings = await find_mappings(self._streams, self._options.mappings, arn)
        readers = Readers(mappings, await find_tasks(self._state), source.replicas)
        self._findings += judge_readers(readers, source, self._settings.task.lease_table)
        return readers

    async def _own(self) -> tuple[Found, Found]:
        name = self._settings.task.lease_table
        tables = []
        for what, table, schema in (
            ("lease table", name, LEASE_SCHEMA),
            ("state table", state_table_name(name), STATE_SCHEMA),
        ):
            seen = await found(self._reach.state_control, table)
            dispensable = self._settings.java_form and schema == STATE_SCHEMA
            self._findings += judge_own(f"{what} {table}", seen, schema, dispensable=dispensable)
            tables.append(seen)
        return tables[0], tables[1]

    async def _task(
        self, source: TableSeen | None, destination: TableSeen | None, lease_table: Found, state_table: Found
    ) -> bool:
        """What the task's own rows say, where there are any; whether its copy was begun before."""
        if not isinstance(state_table, TableFacts) or source is None:
            return False
        name = state_table_name(self._settings.task.lease_table)
        if destination is not None:
            pair = source.facts.arn, destination.facts.arn
            remembered = await read_pair(self._state, name)
            self._findings += judge_pair(self._settings.task.lease_table, remembered, pair)
        if not isinstance(lease_table, TableFacts) or source.facts.stream_arn is None:
            return False
        copy = await read_copy(self._state, name, Incarnation(lease_table.table_id, source.facts.stream_arn))
        if copy is not None:
            what = f"the task's copy was begun before, and is {copy.phase.value}"
            self._findings.append(Finding(READY, "copy", what))
        return copy is not None

    async def _look_for_reverse(self) -> None:
        """A start watches it; here it is only said that there is something to watch."""
        near, far = self._settings.source, self._settings.destination
        name = lease_table_name(None, (far.region, far.table), (near.region, near.table))
        reverse = await found(self._reach.destination_control, name)
        if isinstance(reverse, TableFacts) and reverse.schema == LEASE_SCHEMA:
            what = f"there is a task the other way (lease table {name}): if both run, each change goes round for ever"
            self._findings.append(Finding(WARN, "loop", what, "see that it is stopped; a start watches it for 21 s"))

    def _estimate(self, source: TableSeen, destination: TableSeen | None, listing: Listing | None) -> Estimate:
        regions = self._settings.source.region, self._settings.destination.region
        # One that will be made is as the source is.
        like = (destination or source).definition
        load = Load(
            source.items, source.size_bytes, len(like.global_indexes), len(like.local_indexes), len(set(regions)) > 1
        )
        own = self._options.prices
        tariffs = (
            tariff(regions[0], source.definition.table_class, own),
            tariff(regions[1], like.table_class, own),
            tariff(self._settings.task.region, "", own),
        )
        rate = write_rate(destination.definition if destination is not None else None, self._options.write_rate)
        most = self._settings.rate
        rate = limited(
            rate,
            load,
            most.read.of(source.facts.capacity.read) if most.read else None,
            most.write.of((destination.facts.capacity.write if destination else None) or rate.units_s)
            if most.write
            else None,
        )
        copy = estimate_copy(load, rate, tariffs[0], tariffs[1])
        lease = self._settings.lease
        pace = Pace(self._settings.read.idle_poll_max_s, lease.heartbeat_s, lease.watch_s, lease.renew_s)
        shards = max(1, sum(shard.open for shard in listing.shards)) if listing is not None else 1
        follow = estimate_follow(load, shards, pace, tariffs, self._options.changes_a_day)
        self._findings += judge_copy(copy, counted=source.items > 0)
        return Estimate(load, copy, follow, storage_month(load, tariffs[1]), tariffs)


async def _seen(asked: Asked, control: Control, name: str, region: str) -> TableSeen | DynamirrorError:
    try:
        return await read_table(asked, control, name, region)
    except (Stop, Retry) as error:
        return error
