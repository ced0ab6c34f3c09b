"""`--copy`: the task's copy is announced before its leases are made, so that they can say what need not be read.

What was changed before the copy began is in the copy, if the destination was empty then: the stream is followed from
the copy's beginning, less a slack (R-12). Otherwise everything that the stream has is written (E-1).
"""

import logging
from dataclasses import replace

from dynamirror.aws.connect import Connections
from dynamirror.aws.copy_rows import CopyRows
from dynamirror.aws.lease_table import LeaseTable
from dynamirror.aws.scan import TableScan
from dynamirror.aws.state_rows import Incarnation
from dynamirror.copy.phases import announced
from dynamirror.engines.attempts import patiently
from dynamirror.engines.preflight import Facts
from dynamirror.engines.refuse_items import checked_empty, copy_without_state
from dynamirror.model.copy import Copy, Phase
from dynamirror.model.lease import TRIM_HORIZON
from dynamirror.model.shard_graph import Start
from dynamirror.model.task_name import state_table_name
from dynamirror.ports import Clock
from dynamirror.settings.groups import ReplicationSettings

# Rounding of the stream's time stamps, and what its clocks may be apart.
SLACK_MS = 15 * 60 * 1000

log = logging.getLogger("dynamirror.copy")


def copy_rows(connections: Connections, facts: Facts, settings: ReplicationSettings) -> CopyRows:
    """The rows of the task's copy."""
    life = Incarnation(facts.lease_table.table_id, facts.stream_arn)
    return CopyRows(connections.state, state_table_name(settings.task.lease_table), life)


async def begun(
    connections: Connections, facts: Facts, settings: ReplicationSettings, clock: Clock, me: str
) -> ReplicationSettings:
    """The settings to go on with, once the copy is announced, or was before. Idempotent.

    Without `--copy` they are as they were, once nothing of a former life's copy can land. Raises Refused, Stop: while a
    worker that would not wait has leases; a destination with items that nobody allowed.
    """
    if not settings.copy.wanted:
        if facts.state is not None:
            await former_landed(copy_rows(connections, facts, settings), settings, clock)
        return settings
    if facts.state is None:
        raise copy_without_state()
    store = copy_rows(connections, facts, settings)
    copy = await patiently(clock, "the row of the copy", store.copy)
    if copy is None:
        copy = await _announce(connections, store, settings, clock, me)
    start = Start(TRIM_HORIZON, copy.began_ms - SLACK_MS) if copy.was_empty else Start()
    if copy.phase is Phase.OVER:
        log.info(
            "the copy of this task is over, nothing is copied again; its changes are followed",
            extra={"event": "copy_over_before", "facts": {"began_ms": copy.began_ms, "done_ms": copy.done_ms}},
        )
    else:
        log.info(
            "the table is copied in %d segments; changes wait %.0f s meanwhile",
            copy.segments,
            max(settings.hold.hold_s, copy.held_s),
            extra={"event": "copy_begun", "facts": {"segments": copy.segments, "phase": copy.phase.value}},
        )
    return replace(settings, read=replace(settings.read, start=start))


async def former_landed(store: CopyRows, settings: ReplicationSettings, clock: Clock) -> None:
    """Wait while pages of a former life's copy may land, if one was going on when this life began.

    1 a worker reads a page, in the life that was; 2 the task is begun anew, without a copy: nobody waits; 3 an item of
    the page is deleted, and the delete applied; 4 the page lands: the item is back. Every page begins before its worker
    sees that its life goes on (copy/segment), so none is on its way H after the row of the pair has moved. The row of
    the former copy tells every worker that starts meanwhile, and is removed by whoever has waited. A copy of this
    life writes over it: changes wait for H then anyway.
    """
    former = await patiently(clock, "the row of a former copy", store.former)
    if former is None:
        return
    wait_s = max(settings.hold.hold_s, former.held_s) + settings.write.clock_drift_s
    log.warning(
        "the task was begun anew while its table was copied, and what was sent then may still land: nothing is applied "
        "for %.0f s. What that copy did not reach is not copied (for that: --copy --allow-non-empty)",
        wait_s,
        extra={"event": "former_copy", "facts": {"wait_s": wait_s, "phase": former.phase.value}},
    )
    await clock.sleep(wait_s)
    await patiently(clock, "the row of a former copy", lambda: store.forget(former))


async def _announce(
    connections: Connections, store: CopyRows, settings: ReplicationSettings, clock: Clock, me: str
) -> Copy:
    was_empty = await checked_empty(connections.destination, settings, clock)
    leases = LeaseTable(connections.state, settings.task.lease_table)
    at_ms = await began_ms(connections, settings, clock)
    hold_s, segments = settings.hold.hold_s, settings.copy.segments
    copy = Copy(Phase.ANNOUNCED, segments, at_ms, was_empty, hold_s=hold_s, announced_by=me)
    return await patiently(clock, "the announcement of the copy", lambda: announced(store, leases, copy))


async def began_ms(connections: Connections, settings: ReplicationSettings, clock: Clock) -> int:
    """Now, by the service's clock: its answer a moment ago; a change made since is newer, whatever the local clock
    says."""
    # Nobody has called this service yet. Its answer brings its time, and shows that the table may be read.
    table = settings.source.table
    scan = TableScan(connections.source, table)
    await patiently(clock, f"the first item of {table}", lambda: scan.scan(0, 1, b"", 1))
    return int((connections.source.served_s or clock.wall_s()) * 1000)
