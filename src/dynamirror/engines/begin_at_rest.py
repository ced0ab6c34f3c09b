"""The beginning of a copy at rest: one row, with which its pages may be read at once.

Nobody applies changes, so nobody has to learn first that they have to wait.
"""

import logging
from contextlib import suppress

from dynamirror.aws.connect import Connections
from dynamirror.engines.attempts import patiently
from dynamirror.engines.begin_copy import began_ms
from dynamirror.engines.refuse_items import checked_empty
from dynamirror.errors import ConditionFailed, Retry, Side, Stop
from dynamirror.model.copy import Copy, Phase
from dynamirror.ports import Clock
from dynamirror.settings.bounds import page_settled_s
from dynamirror.settings.groups import ReplicationSettings
from dynamirror.state_ports import CopyStore

log = logging.getLogger("dynamirror.copy")


async def begun_at_rest(
    connections: Connections, store: CopyStore, settings: ReplicationSettings, clock: Clock
) -> Copy:
    """The task's copy, begun now unless it was before. Idempotent.

    Raises Stop for a destination with items that nobody allowed.
    """
    copy = await patiently(clock, "the row of the copy", store.copy)
    if copy is None:
        copy = await _begin(connections, store, settings, clock)
    if copy.phase is not Phase.OVER:
        log.info(
            "the table is copied at rest, in %d segments; changes made meanwhile are not followed",
            copy.segments,
            extra={"event": "copy_begun", "facts": {"segments": copy.segments, "phase": copy.phase.value}},
        )
    return copy


async def _begin(connections: Connections, store: CopyStore, settings: ReplicationSettings, clock: Clock) -> Copy:
    try:
        was_empty = await checked_empty(connections.destination, settings, clock)
    except Stop:
        # Another worker may have begun in between: the items may be those of this very copy.
        copy = await patiently(clock, "the row of the copy", store.copy)
        if copy is None:
            raise
        return copy
    at_ms = await began_ms(connections, settings, clock)
    hold_s = page_settled_s(settings.copy, settings.write)
    wanted = Copy(Phase.COPYING, settings.copy.segments, at_ms, was_empty, hold_s=hold_s)

    async def begin() -> Copy:
        with suppress(ConditionFailed):
            await store.put_copy(wanted, None)
        copy = await store.copy()
        if copy is None:
            raise Retry(Side.STATE, "the row of the copy was deleted as soon as it was written")
        return copy

    return await patiently(clock, "the beginning of the copy", begin)
