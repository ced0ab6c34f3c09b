"""Looks for the task that copies the other way: with both running, each change would go round for ever.

Found by its lease table, where the destination is, under the name that it has by default and under the one that
`cutover` gives to the way back of a named task. One of another name, or whose leases are elsewhere (--kcl-region), is
not found.
"""

import logging
from contextlib import suppress
from dataclasses import dataclass

from dynamirror.aws.state_rows import Incarnation
from dynamirror.aws.wire import Caller
from dynamirror.engines.reach import Control, Reach
from dynamirror.engines.signs_of_life import Watched, living_worker
from dynamirror.engines.table_checks import LEASE_SCHEMA, same_table
from dynamirror.errors import AccessDenied, NotFound, Refused, Side
from dynamirror.model.task_name import lease_table_name, reverse_task_name, state_table_name
from dynamirror.ports import Clock, TableFacts
from dynamirror.settings.groups import ReplicationSettings

log = logging.getLogger("dynamirror")


@dataclass(frozen=True, slots=True)
class ReverseTask:
    """Where a reverse task would be seen."""

    lease_table: str
    # TableId of that lease table, and the destination's stream: the incarnation of its state rows.
    incarnation: Incarnation
    region: str


async def refuse_loop(
    reach: Reach, settings: ReplicationSettings, destination: TableFacts, leases: TableFacts | None, clock: Clock
) -> None:
    """Raises Refused while a reverse task starts or runs. Where the destination's credentials may not look, that is
    said and the start goes on. `leases`: this task's lease table, None where there is none yet.

    Not called when the destination has no stream: nothing can be reading changes there.
    """
    for name in _reverse_lease_tables(settings):
        try:
            reverse = await reach.destination_control.describe_table(name)
            # Tables of one name and Region in two accounts: this is our own lease table, its owners are our fellows.
            if reverse.schema != LEASE_SCHEMA or (leases is not None and same_table(leases, reverse)):
                continue
            incarnation = Incarnation(reverse.table_id, destination.stream_arn or "")
            task = ReverseTask(name, incarnation, settings.destination.region)
            await refuse_starting(task, reverse, reach.destination_control)
            await refuse_running(task, reach.destination, clock)
        except NotFound:
            # Or being deleted: whoever ran there has lost its leases.
            continue
        except AccessDenied as error:
            log.warning(
                "cannot see whether the reverse task is running: %s",
                error,
                extra={"event": "reverse_task_unseen", "facts": {"table": name}},
            )


def _reverse_lease_tables(settings: ReplicationSettings) -> list[str]:
    near, far = settings.source, settings.destination
    pair = (far.region, far.table), (near.region, near.table)
    names = [lease_table_name(None, *pair)]
    if settings.task.named:
        # Too long a name nobody can have given.
        with suppress(Refused):
            names.append(lease_table_name(reverse_task_name(settings.task.lease_table), *pair))
    return names


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
