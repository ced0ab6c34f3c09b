"""Gives an order to all workers of a task: one row of its state table (fleet/orders obeys)."""

from collections.abc import Callable
from dataclasses import dataclass

from dynamirror.aws.order_rows import OrderRows
from dynamirror.engines.attempts import patiently
from dynamirror.engines.status_run import TaskView, refuse_other_pair
from dynamirror.engines.table_checks import check_share
from dynamirror.errors import ConditionFailed, Refused, Retry, Side
from dynamirror.model.orders import Ordered, Orders
from dynamirror.model.rate import Limit
from dynamirror.model.status import Status

ATTEMPTS_MAX = 5


@dataclass(frozen=True, slots=True)
class Given:
    """What came of an order. `status`: of the task, just before."""

    status: Status
    before: Orders
    now: Orders

    @property
    def changed(self) -> bool:
        """Whether anything is ordered that was not before."""
        return self.now != self.before


async def give(view: TaskView, change: Callable[[Orders, int], Orders]) -> Given:
    """`change` makes new orders of those in force, at a time in ms. Idempotent where it is. Raises Refused where there
    is no such task, Stop, or a Retry that did not pass."""
    status = await task_status(view)
    settings, state_table = view.settings, status.seen.task.state_table
    if not view.rows.has_state:
        raise Refused(
            f"there is no state table {state_table}: the workers of this task run without one, or are Java workers, "
            "and obey no orders"
        )
    rows = OrderRows(view.connections.state, state_table, view.rows.life)

    async def once() -> tuple[Orders, Orders]:
        for _ in range(ATTEMPTS_MAX):
            before = await rows.orders()
            now = change(before, status.seen.at_ms)
            if now == before:
                return before, now
            try:
                await rows.order(now, before)
            except ConditionFailed:
                # Somebody else has given one meanwhile, or our own request was carried out and not answered.
                continue
            return before, now
        raise Retry(Side.STATE, f"the orders in {state_table} change all the time")

    before, now = await patiently(view.clock, f"the orders of {settings.task.lease_table}", once)
    return Given(status, before, now)


async def task_status(view: TaskView) -> Status:
    """The task's status. Raises Refused where there is no such task, or its name stands for other tables; Stop, or a
    Retry that did not pass."""
    status = await view.status()
    if status is None:
        task = view.settings.task
        raise Refused(
            f"there is no such task: neither a lease table {task.lease_table} nor a state table beside it in "
            f"{task.region}; check --task-name, --kcl-region and both tables"
        )
    refuse_other_pair(status, view.settings)
    return status


async def check_orders(view: TaskView, read: Ordered | None, write: Ordered | None) -> None:
    """Raises Refused for a share of a capacity that the service does not say; Stop, or a Retry that did not pass."""
    source, destination = view.settings.source.table, view.settings.destination.table
    if isinstance(read, Limit) and read.percent is not None:
        facts = await view.connections.source_control.describe_table(source)
        check_share("--max-read-rate", read, facts.capacity.read, source)
    if isinstance(write, Limit) and write.percent is not None:
        facts = await view.connections.destination_control.describe_table(destination)
        check_share("--max-write-rate", write, facts.capacity.write, destination)
