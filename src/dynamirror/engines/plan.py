"""`dynamirror plan`: what a start would find, how long a copy takes and what it costs. Nothing is changed or made.

Every question is asked whatever the others answered, so that one look tells all that has to be mended. The few calls
that a service could take for writes cannot write (engines/plan_permissions).
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from dynamirror.aws.state_rows import Incarnation
from dynamirror.engines.plan_facts import (
    Mappings,
    TableSeen,
    found,
    read_copy,
    read_destination_id,
    read_followed,
    read_pair,
)
from dynamirror.engines.plan_judge import (
    READY,
    WARN,
    Readers,
    judge_copy,
    judge_destination_life,
    judge_followed,
    judge_own,
    judge_pair,
    judge_rights,
    judge_settings,
)
from dynamirror.engines.plan_look import Look, Pair, copy_of, load_of, written_of
from dynamirror.engines.plan_permissions import Right
from dynamirror.engines.plan_rights import Found, all_rights
from dynamirror.engines.reach import Reach
from dynamirror.engines.state_setup import STATE_SCHEMA
from dynamirror.engines.table_checks import LEASE_SCHEMA
from dynamirror.engines.waiting import Question, answered, reach_aloud
from dynamirror.errors import DynamirrorError, ExitCode, NotFound, Retry, Side, Stop
from dynamirror.fleet.orders import EVERY_S as ORDERS_EVERY_S
from dynamirror.model.estimate import CopyEstimate, FollowEstimate, Load, Pace, estimate_follow, storage_month
from dynamirror.model.finding import Finding, is_ready, ordered
from dynamirror.model.prices import Overrides, Tariff, tariff
from dynamirror.model.shard_graph import Listing
from dynamirror.model.table_differences import Difference
from dynamirror.model.task_name import lease_table_name, state_table_name
from dynamirror.ports import Clock, TableFacts
from dynamirror.settings.groups import ReplicationSettings

# How the definitions of the two tables differ, the worst first; raises Stop, Retry.
Compare = Callable[[], Coroutine[Any, Any, Sequence[Difference]]]


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
    # --diff-schema; None: not asked for.
    compare: Compare | None = None


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
class SchemaDiff:
    """How the two tables are defined differently, the worst first; or `why` that is not known."""

    why: str
    differences: tuple[Difference, ...] = ()


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
    # None: not asked for. What of it makes the plan not ready is a finding too.
    schema: SchemaDiff | None = None

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
        self._look = Look(reach, settings, clock, options.mappings, will_be_made=options.create_destination)

    async def plan(self) -> Plan:
        pair, own = await asyncio.gather(self._look.pair(), self._own())
        here, there = pair.here, pair.there
        copied, findings_of_task = await self._task(pair, *own[:2])
        of_source, of_destination, (listing, of_stream), (readers, of_readers), reverse, schema = await asyncio.gather(
            self._look.of_source(pair),
            self._of_destination(pair, findings_of_task, copied=copied),
            self._look.of_stream(here),
            self._look.of_readers(here),
            self._reverse(),
            self._schema(pair),
        )
        rights = await all_rights(self._reach, self._settings, (here, there), listing, own[:2])
        estimate = self._estimate(here, there, listing) if here is not None else None
        findings = ordered(
            [
                *judge_settings(self._settings),
                *own[2],
                *findings_of_task,
                *of_source,
                *of_destination,
                *of_stream,
                *of_readers,
                *judge_rights(rights),
                *reverse,
                *(judge_copy(estimate.copy, counted=estimate.load.items > 0) if estimate is not None else ()),
            ]
        )
        joins = None if isinstance(own[0], DynamirrorError) else own[0] is not None
        return Plan(self._settings, here, there, listing, readers, joins, rights, estimate, findings, schema)

    async def _own(self) -> tuple[Found, Found, list[Finding]]:
        """Lease table, state table, and what they are found to be."""
        name = self._settings.task.lease_table
        findings: list[Finding] = []
        tables = []
        for what, table, schema in (
            ("lease table", name, LEASE_SCHEMA),
            ("state table", state_table_name(name), STATE_SCHEMA),
        ):
            seen = await found(self._reach.state_control, table)
            dispensable = self._settings.java_form and schema == STATE_SCHEMA
            findings += judge_own(f"{what} {table}", seen, schema, dispensable=dispensable)
            tables.append(seen)
        return tables[0], tables[1], findings

    async def _task(self, pair: Pair, lease_table: Found, state_table: Found) -> tuple[bool, list[Finding]]:
        """What the task's own rows say, where there are any; whether its copy was begun before."""
        findings: list[Finding] = []
        source, destination = pair.here, pair.there
        if not isinstance(state_table, TableFacts) or source is None:
            return False, findings
        name = state_table_name(self._settings.task.lease_table)
        if destination is not None:
            arns = source.facts.arn, destination.facts.arn
            remembered = await read_pair(self._look.state, name)
            findings += judge_pair(self._settings.task.lease_table, remembered, arns)
        if not isinstance(lease_table, TableFacts):
            return False, findings
        followed = await read_followed(self._look.state, name, lease_table.table_id)
        findings += judge_followed(followed, source.facts.stream_arn)
        stream_arn = followed or source.facts.stream_arn
        if stream_arn is None:
            return False, findings
        life = Incarnation(lease_table.table_id, stream_arn)
        if destination is not None or (isinstance(pair.destination, NotFound) and self._options.create_destination):
            known = await read_destination_id(self._look.state, name, life)
            findings += judge_destination_life(known, destination, self._settings)
        copy = await read_copy(self._look.state, name, life)
        if copy is not None:
            what = f"the task's copy was begun before, and is {copy.phase.value}"
            findings.append(Finding(READY, "copy", what))
        return copy is not None, findings

    async def _of_destination(self, pair: Pair, of_task: Sequence[Finding], *, copied: bool) -> list[Finding]:
        """Of one that is gone since the task began no more is said: none will be made."""
        if isinstance(pair.destination, NotFound) and any(one.about == "destination" for one in of_task):
            return []
        return await self._look.of_destination(pair, copied=copied)

    async def _reverse(self) -> list[Finding]:
        """A start watches it; here it is only said that there is something to watch."""
        near, far = self._settings.source, self._settings.destination
        name = lease_table_name(None, (far.region, far.table), (near.region, near.table))
        reverse = await found(self._reach.destination_control, name)
        if not isinstance(reverse, TableFacts) or reverse.schema != LEASE_SCHEMA:
            return []
        what = f"there is a task the other way (lease table {name}): if both run, each change goes round for ever"
        return [Finding(WARN, "loop", what, "see that it is stopped; a start watches it for 23 s")]

    async def _schema(self, pair: Pair) -> SchemaDiff | None:
        """How the definitions differ, where that was asked for."""
        if self._options.compare is None:
            return None
        if isinstance(pair.destination, NotFound):
            return SchemaDiff(f"there is no table {self._settings.destination.table} to compare the source with")
        question = Question(Side.DESTINATION, self._reach.destination.url, "how the two tables are defined")
        try:
            return SchemaDiff("", tuple(await answered(question, self._options.compare())))
        except (Stop, Retry) as error:
            return SchemaDiff(f"the tables cannot be compared: {error}")

    def _estimate(self, source: TableSeen, destination: TableSeen | None, listing: Listing | None) -> Estimate:
        own = self._options.prices
        written = written_of(self._settings, source, destination)
        tariffs = (
            tariff(self._settings.source.region, source.definition.table_class, own),
            tariff(self._settings.destination.region, written.table_class, own),
            tariff(self._settings.task.region, "", own),
        )
        load = load_of(self._settings, source, destination)
        copy = copy_of(self._settings, source, destination, self._options.write_rate, own)
        lease = self._settings.lease
        pace = Pace(
            self._settings.read.idle_poll_max_s,
            lease.heartbeat_s,
            lease.watch_s,
            lease.renew_s,
            lease.scan_s,
            lease.shard_sync_s,
            ORDERS_EVERY_S,
        )
        shards = max(1, sum(shard.open for shard in listing.shards)) if listing is not None else 1
        follow = estimate_follow(load, shards, pace, tariffs, self._options.changes_a_day)
        return Estimate(load, copy, follow, storage_month(load, tariffs[1]), tariffs)
