"""Whether the destination is still the table that the task began with: one made anew under its name has nothing of
what was copied and applied before, and would be followed as if it had."""

from dynamirror.aws.state_rows import Incarnation
from dynamirror.aws.state_table import StateTable
from dynamirror.aws.wire import Caller
from dynamirror.engines.attempts import patiently
from dynamirror.errors import AccessDenied, NotFound, Side, Stop
from dynamirror.model.task_name import state_table_name
from dynamirror.ports import Clock
from dynamirror.settings.groups import ReplicationSettings


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
    name, leases = settings.destination.table, settings.task.lease_table
    what = "is gone" if table_id is None else "was deleted and made anew"
    raise Stop(
        Side.DESTINATION,
        f"the destination table {name} {what} since the task {leases} began: what was copied and applied before is not "
        f"in it. To start over, stop all workers of the task, delete its lease table {leases}, and start with --copy",
    )
