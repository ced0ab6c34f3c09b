"""The checks before the start: each failure is one clear line with its exit code, and nothing half-done.

Called once by the engine with open connections. First everything that only reads, then what the task needs is
made, in an order that may be repeated: stream switched on (when asked), lease table, state table, the pair.

The stream itself is asked only where something would be made: a worker that joins a task begins at the leases, and what
keeps it from its stream is said while it runs.
"""

import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, replace

from dynamirror.aws.state_rows import Incarnation
from dynamirror.aws.state_table import StateTable
from dynamirror.engines.attempts import patiently
from dynamirror.engines.destination_life import refuse_made_anew
from dynamirror.engines.missing_tables import missing_destination, missing_source
from dynamirror.engines.next_stream import Followed, which_stream
from dynamirror.engines.reach import Control, Reach
from dynamirror.engines.refuse_items import refuse_items
from dynamirror.engines.rest_watch import refuse_beside_rest
from dynamirror.engines.reverse_task import refuse_loop
from dynamirror.engines.state_setup import StateSetup
from dynamirror.engines.stream_check import check_readable
from dynamirror.engines.table_checks import (
    LEASE_SCHEMA,
    check_in_service,
    check_own,
    check_pair,
    check_rates,
)
from dynamirror.engines.waiting import reach_aloud
from dynamirror.errors import NotFound, Side, Stop
from dynamirror.model.shard_graph import RETENTION_MS
from dynamirror.ports import Clock, TableFacts
from dynamirror.settings.bounds import refuse_unsound
from dynamirror.settings.groups import ReplicationSettings
from dynamirror.state_ports import StateStore

log = logging.getLogger("dynamirror")

# Asks, with the lease table as it was found, and raises what refuses the start (engines/start_checks).
Ready = Callable[[TableFacts | None], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Facts:
    """What the checks found and made. `state` is None where the state table may not be used (Java form only)."""

    source: TableFacts
    destination: TableFacts
    stream_arn: str
    lease_table: TableFacts
    state: StateStore | None


async def check(
    reach: Reach, settings: ReplicationSettings, clock: Clock, ready: Ready | None = None, worker: str = ""
) -> Facts:
    """Check, then make what is missing. Raises Refused, Stop (NotFound, AccessDenied, Gap) or a Retry that did not
    pass.

    Idempotent, also when several workers start at the same time. `ready` asks what else a plan does. `worker` is named
    where it notes a gap.
    """
    refuse_unsound(settings)
    reach = reach_aloud(reach)
    source, destination = await both_tables(reach, settings)
    leases = await found_table(reach.state_control, settings.task.lease_table)
    if leases is not None:
        check_own(f"lease table {settings.task.lease_table}", leases, LEASE_SCHEMA)
    followed = await which_stream(reach, settings, source, leases, clock)
    source = followed.source
    state = StateSetup(reach, settings, clock, (source.arn, destination.arn))
    await state.refuse_other_pair(Incarnation(leases.table_id if leases else "", source.stream_arn or ""))
    if leases is None or state.missing or source.stream_arn is None:
        await check_readable(reach.streams, source, clock)
    if not settings.checks.allow_loop and destination.stream_arn is not None:
        await refuse_loop(reach, settings, destination, leases, clock)
    if ready is not None:
        await ready(leases)
    if not state.missing:
        await _refuse_former(reach, settings, followed, destination, leases, clock)
    await _refuse_items(reach, settings, followed, clock)
    # Up to here no table has been changed or made.
    if source.stream_arn is None:
        source = await _switch_stream_on(reach, settings)
    assert source.stream_arn is not None, "enable_stream returns when the stream is on"
    leases = await _lease_table(reach, settings, leases, clock)
    life = Incarnation(leases.table_id, source.stream_arn)
    if followed.next is not None:
        await followed.next.note(life, worker)
    table = await _opened(reach, settings, state, life, followed.latest_arn)
    if table is not None:
        await patiently(clock, "their ids", lambda: table.remember_tables(source.table_id, destination.table_id))
    return Facts(source, destination, source.stream_arn, leases, table)


async def _refuse_former(
    reach: Reach,
    settings: ReplicationSettings,
    followed: Followed,
    destination: TableFacts,
    leases: TableFacts | None,
    clock: Clock,
) -> None:
    """What was begun with these tables before and does not go with this start; also in the life that ends with it."""
    source, life = followed.source, followed.before
    if life is None and leases is not None and source.stream_arn is not None:
        life = Incarnation(leases.table_id, source.stream_arn)
    if life is not None:
        await refuse_made_anew(reach.state, settings, life, destination.table_id, clock)
    await refuse_beside_rest(reach, settings, (source, destination), clock)


async def _refuse_items(reach: Reach, settings: ReplicationSettings, followed: Followed, clock: Clock) -> None:
    """See refuse_items. A task that has begun is asked for its copy in the life that it has had so far."""
    source = followed.source

    async def life() -> Incarnation | None:
        """Looked at anew each time: another worker may be beginning the task just now."""
        if followed.before is not None:
            forgets = followed.next is not None and await followed.next.forgets_copy()
            return replace(followed.before, stream_arn=source.stream_arn or "") if forgets else followed.before
        leases = await found_table(reach.state_control, settings.task.lease_table)
        now = await found_table(reach.source_control, settings.source.table)
        stream_arn = (now.stream_arn if now is not None else None) or source.stream_arn
        return Incarnation(leases.table_id, stream_arn) if leases is not None and stream_arn is not None else None

    await refuse_items(reach.state, reach.destination, settings, clock, life)


async def _opened(
    reach: Reach, settings: ReplicationSettings, state: StateSetup, life: Incarnation, latest_arn: str | None
) -> StateTable | None:
    """The state table in this life of the task, which must not be over by now. `latest_arn`: the source's stream as the
    start has found it, where an older one is followed to its end.

    1 a slow start looks at the lease table; 2 the task is begun anew, by others; 3 the start moves the row of the pair
    back into the life that it has seen: the others end, and it goes on in one that is over. It is looked at again
    afterwards too: so whoever has moved it back does not go on at least.
    """
    drains = latest_arn not in (None, life.stream_arn)
    fits = (life.lease_table_id, life.stream_arn, latest_arn or "", "")
    await _refuse_begun_anew(reach, settings, fits)
    # A life whose stream is drained has begun long ago: whoever has moved on meanwhile is not called back.
    table = await state.open(life, follows=not drains)
    await _refuse_begun_anew(reach, settings, fits)
    return table


async def _refuse_begun_anew(reach: Reach, settings: ReplicationSettings, fits: Collection[str]) -> None:
    leases = await found_table(reach.state_control, settings.task.lease_table)
    source = await found_table(reach.source_control, settings.source.table)
    # What is gone, or off, each request to it tells.
    now = (leases.table_id if leases else "", (source.stream_arn if source else None) or "")
    if any(found not in fits for found in now):
        raise Stop(
            Side.STATE,
            f"the task {settings.task.lease_table} was begun anew meanwhile (another lease table or stream); start "
            "again",
        )


async def both_tables(reach: Reach, settings: ReplicationSettings) -> tuple[TableFacts, TableFacts]:
    """Source and destination as they are: there, in service, two tables, one key schema."""
    source = await found_table(reach.source_control, settings.source.table)
    if source is None:
        raise missing_source(settings, reach.source.url)
    check_in_service(Side.SOURCE, f"source table {settings.source.table}", source)
    destination = await found_table(reach.destination_control, settings.destination.table)
    if destination is None:
        raise missing_destination(settings, reach.destination.url, source.schema)
    check_in_service(Side.DESTINATION, f"destination table {settings.destination.table}", destination)
    check_pair(source, destination, settings)
    check_rates(source, destination, settings)
    return source, destination


async def found_table(control: Control, name: str) -> TableFacts | None:
    """What the table is now; None: there is none."""
    try:
        return await control.describe_table(name)
    except NotFound:
        return None


async def _switch_stream_on(reach: Reach, settings: ReplicationSettings) -> TableFacts:
    facts = await reach.source_control.enable_stream(settings.source.table)
    log.info(
        "switched the stream of %s on; what was written before is not in it",
        settings.source.table,
        extra={"event": "stream_enabled", "facts": {"table": settings.source.table, "stream": facts.stream_arn}},
    )
    return facts


async def _lease_table(
    reach: Reach, settings: ReplicationSettings, found: TableFacts | None, clock: Clock
) -> TableFacts:
    """The lease table, created when missing. Another worker may be creating it at the same moment."""
    name = settings.task.lease_table
    if found is None:
        _warn_of_old_start(settings, clock)
    if found is None or found.status == "CREATING":
        found = await reach.state_control.create_table(name, LEASE_SCHEMA)
        check_own(f"lease table {name}", found, LEASE_SCHEMA)
        log.info(
            "lease table %s is new: the task begins",
            name,
            extra={"event": "lease_table_created", "facts": {"table": name}},
        )
    return found


def _warn_of_old_start(settings: ReplicationSettings, clock: Clock) -> None:
    start_ms = settings.read.start.at_ms
    if start_ms is not None and clock.wall_s() * 1000 - start_ms > RETENTION_MS:
        log.warning(
            "--start-at is longer ago than a stream keeps changes (24 h): what was changed before that is not in it, "
            "and has to reach the destination by other means",
            extra={"event": "start_before_stream", "facts": {"start_ms": start_ms}},
        )
