"""Looks for the task that copies the other way: with both running, each change would go round for ever.

Only the reverse task of default name can be found: from its lease table, which stands where the destination is.
"""

from contextlib import suppress
from dataclasses import dataclass

from dynamirror.aws.state_rows import Incarnation
from dynamirror.aws.wire import Caller
from dynamirror.engines.reach import Control
from dynamirror.engines.signs_of_life import Watched, living_worker
from dynamirror.errors import AccessDenied, NotFound, Refused, Side
from dynamirror.model.task_name import state_table_name
from dynamirror.ports import Clock, TableFacts


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
    """Raises Refused when a worker of the reverse task shows life; takes up to 23 s where one might.

    Raises NotFound when the lease table goes away meanwhile.
    """
    watched = Watched("the reverse task", task.lease_table, task.incarnation, Side.DESTINATION)
    worker = await living_worker(watched, caller, clock)
    if worker is not None:
        raise Refused(
            f"the reverse task is running (worker {worker}, lease table {task.lease_table} in {task.region}): "
            "with both, each change would go round for ever; stop it, or start with --allow-loop"
        )
