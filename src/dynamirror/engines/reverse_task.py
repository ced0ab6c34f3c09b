"""Looks for the task that copies the other way: with both running, each change would go round for ever.

Only the reverse task of default name can be found: from its lease table, which stands where the destination is.
"""

import logging
from contextlib import suppress
from dataclasses import dataclass

from dynamirror.aws.lease_table import LeaseTable
from dynamirror.aws.state_rows import Incarnation
from dynamirror.aws.state_table import StateTable
from dynamirror.aws.wire import Caller
from dynamirror.engines.attempts import patiently
from dynamirror.engines.reach import Control
from dynamirror.engines.waiting import Question
from dynamirror.errors import AccessDenied, NotFound, Refused, Side
from dynamirror.model.task_name import state_table_name
from dynamirror.ports import Clock, TableFacts

log = logging.getLogger("dynamirror")

# A KCL worker renews each lease within 20 s (docs/LEASES.md, P-13); dynamirror beats every second.
WATCH_S = 21.0
_LOOK_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class ReverseTask:
    """Where a reverse task would be seen."""

    lease_table: str
    # TableId of that lease table, and the destination's stream: the incarnation of its state rows.
    incarnation: Incarnation
    region: str


async def refuse_starting(task: ReverseTask, lease_table: TableFacts, control: Control) -> None:
    """Raises Refused while one of the reverse task's tables is being created: it has no rows yet that could be seen."""
    being_created = task.lease_table if lease_table.status == "CREATING" else None
    if being_created is None:
        name = state_table_name(task.lease_table)
        with suppress(NotFound, AccessDenied):
            being_created = name if (await control.describe_table(name)).status == "CREATING" else None
    if being_created is not None:
        raise Refused(
            f"the reverse task is starting (table {being_created} in {task.region} is being created): with both, each "
            "change would go round for ever; stop it, or start with --allow-loop"
        )


async def refuse_running(task: ReverseTask, caller: Caller, clock: Clock) -> None:
    """Raises Refused when a worker of the reverse task shows life; takes up to 21 s where one might.

    A KCL worker leaves its name on its rows when it stops, so that an owner alone proves nothing. Raises NotFound when
    the lease table goes away meanwhile.
    """
    leases = LeaseTable(caller, task.lease_table)
    state = StateTable(caller, state_table_name(task.lease_table), task.incarnation)

    async def signs() -> dict[str, tuple[str, int]]:
        return await _signs_of_life(leases, state)

    what = Question(Side.DESTINATION, caller.url, f"the leases in {task.lease_table}")
    first = await patiently(clock, what, signs)
    if not first:
        return
    log.info(
        "the lease table %s of the reverse task has owners; watching up to %g s whether they live",
        task.lease_table,
        WATCH_S,
        extra={"event": "reverse_task_watched", "facts": {"table": task.lease_table}},
    )
    end_s = clock.boottime_s() + WATCH_S
    while clock.boottime_s() < end_s:
        await clock.sleep(_LOOK_EVERY_S)
        for sign, now in (await patiently(clock, what, signs)).items():
            if first.get(sign) != now:
                raise Refused(
                    f"the reverse task is running (worker {now[0]}, lease table {task.lease_table} in {task.region}): "
                    "with both, each change would go round for ever; stop it, or start with --allow-loop"
                )


async def _signs_of_life(leases: LeaseTable, state: StateTable) -> dict[str, tuple[str, int]]:
    """(worker, counter) of each owned, unfinished lease, and of each heartbeat beside them; empty: nobody there."""
    rows = await leases.scan()
    signs = {row.shard_id: (row.owner, row.counter) for row in rows if row.owner is not None and not row.finished}
    if not signs:
        return {}
    try:
        beats = await state.beats()
    except (NotFound, AccessDenied):
        # A Java task has no state table, and the lease rows speak for themselves, only more slowly.
        beats = {}
    return signs | {f"heartbeat of {worker}": (worker, counter) for worker, counter in beats.items()}
