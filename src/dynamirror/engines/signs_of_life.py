"""Whether a task is being followed, judged from its lease table and its heartbeats; reads only."""

import logging
from dataclasses import dataclass

from dynamirror.aws.lease_table import LeaseTable
from dynamirror.aws.state_rows import Incarnation
from dynamirror.aws.state_table import StateTable
from dynamirror.aws.wire import Caller
from dynamirror.engines.attempts import patiently
from dynamirror.engines.waiting import Question
from dynamirror.errors import AccessDenied, NotFound, Side
from dynamirror.model.task_name import state_table_name
from dynamirror.ports import Clock

log = logging.getLogger("dynamirror")

# A KCL worker renews each lease within 20 s, dynamirror within 21.5 s (docs/LEASES.md, P-13), and beats every second.
WATCH_S = 23.0
_LOOK_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Watched:
    """A task whose workers would be seen here."""

    # For messages: "the reverse task".
    task: str
    lease_table: str
    # TableId of that lease table, and the stream that is followed: the life of the task's state rows.
    incarnation: Incarnation
    side: Side


async def living_worker(watched: Watched, caller: Caller, clock: Clock) -> str | None:
    """A worker of the task that shows life; takes up to 23 s where one might, and none where there is no owner.

    A KCL worker leaves its name on its rows when it stops, so that an owner alone proves nothing. Raises NotFound when
    the lease table goes away meanwhile.
    """
    leases = LeaseTable(caller, watched.lease_table)
    state = StateTable(caller, state_table_name(watched.lease_table), watched.incarnation)

    async def signs() -> dict[str, tuple[str, int]]:
        return await _signs_of_life(leases, state)

    what = Question(watched.side, caller.url, f"the leases in {watched.lease_table}")
    first = await patiently(clock, what, signs)
    if not first:
        return None
    log.info(
        "the lease table %s of %s has owners; watching up to %g s whether they live",
        watched.lease_table,
        watched.task,
        WATCH_S,
        extra={"event": "leases_watched", "facts": {"table": watched.lease_table}},
    )
    end_s = clock.boottime_s() + WATCH_S
    while clock.boottime_s() < end_s:
        await clock.sleep(_LOOK_EVERY_S)
        for sign, now in (await patiently(clock, what, signs)).items():
            if first.get(sign) != now:
                return now[0]
    return None


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
