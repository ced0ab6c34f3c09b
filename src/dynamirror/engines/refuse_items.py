"""A copy into a destination with items is refused, unless that is allowed: before anything is made for it."""

import logging
from collections.abc import Awaitable, Callable

from dynamirror.aws.copy_rows import CopyRows
from dynamirror.aws.scan import TableScan
from dynamirror.aws.state_rows import Incarnation
from dynamirror.aws.wire import Caller
from dynamirror.engines.attempts import patiently
from dynamirror.errors import AccessDenied, NotFound, Refused, Side, Stop
from dynamirror.model.task_name import state_table_name
from dynamirror.ports import Clock
from dynamirror.settings.groups import ReplicationSettings

# The life of the task as it is now; None: it has none yet.
Life = Callable[[], Awaitable[Incarnation | None]]

log = logging.getLogger("dynamirror.copy")


async def refuse_items(
    state: Caller, destination: Caller, settings: ReplicationSettings, clock: Clock, life: Life
) -> None:
    """Raises Stop for a destination with items that nobody allowed, unless the task has begun its copy: then they are
    its own. Reads only.

    Where there are items, the copy is looked for once more: 1 there is none; 2 another worker begins it, and copies;
    3 its items are seen.
    """
    copy = settings.copy
    if not copy.wanted or copy.allow_non_empty or await _begun(state, settings, clock, life):
        return
    if await is_empty(destination, settings, clock) or await _begun(state, settings, clock, life):
        return
    raise not_allowed(settings)


async def checked_empty(destination: Caller, settings: ReplicationSettings, clock: Clock) -> bool:
    """Whether the destination has no item. Raises Stop when it has some and that was not allowed."""
    was_empty = await is_empty(destination, settings, clock)
    if not was_empty and not settings.copy.allow_non_empty:
        raise not_allowed(settings)
    if not was_empty:
        table = settings.destination.table
        log.warning(
            "the destination table %s has items: those that the source has too are written over, the others stay",
            table,
            extra={"event": "copy_over_items", "facts": {"table": table}},
        )
    return was_empty


async def is_empty(destination: Caller, settings: ReplicationSettings, clock: Clock) -> bool:
    """Whether the destination is proven to have no item."""
    table = settings.destination.table
    scan = TableScan(destination, table, Side.DESTINATION)
    page = await patiently(clock, f"the first item of {table}", lambda: scan.scan(0, 1, b"", 1))
    # An empty page with a key to go on from proves nothing.
    return not page.items and not page.last_key


def not_allowed(settings: ReplicationSettings) -> Stop:
    """The end of a start that would copy into items."""
    return Stop(
        Side.DESTINATION,
        f"the destination table {settings.destination.table} has items: a copy writes over those that the source has "
        "too, and leaves the others. Give --allow-non-empty if that is meant, or empty the table",
    )


def copy_without_state() -> Refused:
    """The end of a start that would copy, and may not use the state table (Java form only)."""
    return Refused(
        "--copy needs the state table, which may not be used: grant its rights (docs/reference/rights.md), or leave it "
        "out"
    )


async def _begun(state: Caller, settings: ReplicationSettings, clock: Clock, life: Life) -> bool:
    now = await life()
    if now is None:
        return False
    rows = CopyRows(state, state_table_name(settings.task.lease_table), now)
    try:
        return await patiently(clock, "the row of the copy", rows.copy) is not None
    except (NotFound, AccessDenied):
        # Without a state table, or rights to it, nobody can have begun one.
        return False
