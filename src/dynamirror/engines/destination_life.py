"""Whether the destination is still the table that the task began with: one made anew under its name has nothing of
what was copied and applied before, and would be followed as if it had."""

from contextlib import suppress

from dynamirror.aws.state_rows import Incarnation
from dynamirror.aws.state_table import StateTable
from dynamirror.aws.wire import Caller
from dynamirror.engines.attempts import patiently
from dynamirror.engines.reach import Control
from dynamirror.errors import AccessDenied, NotFound, Retry, Side, Stop
from dynamirror.model.task_name import state_table_name
from dynamirror.ports import Clock
from dynamirror.settings.groups import ReplicationSettings

# A worker that runs looks so often whether the destination is still the same.
LOOK_EVERY_S = 60.0
GONE, MADE_ANEW = "is gone", "was deleted and made anew"
_EMPTY_FIRST = "--allow-non-empty, or empty it first: workers may have written into it since"


async def refuse_made_anew(
    state: Caller, settings: ReplicationSettings, life: Incarnation, table_id: str | None, clock: Clock
) -> None:
    """Raises Stop when this life of the task began with another destination table than `table_id` (None: there is no
    table now). What is not remembered, or may not be read, is not judged."""
    table = StateTable(state, state_table_name(settings.task.lease_table), life)
    try:
        known = await patiently(clock, "the destination that the task began with", table.destination_id)
    except (AccessDenied, NotFound):
        return
    if known in (None, table_id):
        return
    raise not_its_own(settings, GONE if table_id is None else MADE_ANEW)


def not_its_own(settings: ReplicationSettings, what: str = MADE_ANEW) -> Stop:
    """The end of a task whose destination is another table than it began with."""
    name, leases = settings.destination.table, settings.task.lease_table
    return Stop(
        Side.DESTINATION,
        f"the destination table {name} {what} since the task {leases} began: what was copied and applied before is not "
        f"in it; to start over, stop all workers of the task, delete its lease table {leases}, and start with --copy"
        + (f" ({_EMPTY_FIRST})" if what == MADE_ANEW else ""),
    )


def not_its_own_at_rest(name: str) -> Stop:
    """The end of a copy at rest whose destination is another table than it began with."""
    return Stop(
        Side.DESTINATION,
        f"the destination table {name} {MADE_ANEW} under this worker, and has nothing of what was copied before; start "
        "again, and the table is copied anew "
        f"({_EMPTY_FIRST})",
    )


async def refuse_another(control: Control, name: str, table_id: str, clock: Clock, end: Stop) -> None:
    """Raises `end` if the destination is another table than `table_id` now; Stop if it is gone. For whoever is about to
    say that all is there: what was written since the last look of a watch may be all that there is."""
    try:
        facts = await patiently(clock, f"the destination table {name}", lambda: control.describe_table(name))
    except AccessDenied:
        return
    if facts.table_id not in ("", table_id):
        raise end


async def watch_destination(control: Control, name: str, table_id: str, clock: Clock, end: Stop) -> None:
    """Raises `end` once the destination is another table than `table_id`. Goes on until cancelled.

    Writes tell nothing of it: 1 the table is deleted and made anew while nothing is written; 2 the next writes succeed,
    into a table without all that was written before. One that is gone, or may not be looked at, is for the writes to
    tell.
    """
    while True:
        await clock.sleep(LOOK_EVERY_S)
        with suppress(Stop, Retry):
            now = (await control.describe_table(name)).table_id
            if now and now != table_id:
                break
    raise end
