"""Whether the task's table is being copied at rest, which nobody may follow meanwhile; reads only.

1 a page is read by `dynamirror copy`, which no follower knows of; 2 an item of it changes, and a follower writes the
change at once; 3 the page lands: the older image stands there for ever.
"""

import logging

from dynamirror.aws.copy_rows import CopyRows
from dynamirror.aws.state_rows import at_rest
from dynamirror.aws.state_table import StateTable
from dynamirror.engines.attempts import patiently
from dynamirror.engines.reach import Reach
from dynamirror.errors import AccessDenied, NotFound, Refused
from dynamirror.model.copy import Phase
from dynamirror.model.task_name import state_table_name
from dynamirror.ports import Clock, TableFacts
from dynamirror.settings.groups import ReplicationSettings

# Workers beat every second.
WATCH_S = 5.0

log = logging.getLogger("dynamirror")


async def refuse_beside_rest(
    reach: Reach, settings: ReplicationSettings, tables: tuple[TableFacts, TableFacts], clock: Clock
) -> None:
    """Raises Refused while a worker copies the table at rest. A copy that was begun and left is only mentioned."""
    life, name = at_rest(*tables), state_table_name(settings.task.lease_table)
    state = StateTable(reach.state, name, life)
    try:
        copy = await patiently(clock, "the row of a copy at rest", CopyRows(reach.state, name, life).copy)
        if copy is None or copy.phase is Phase.OVER:
            return
        first = await patiently(clock, "the heartbeats of a copy at rest", state.beats)
        if first:
            await clock.sleep(WATCH_S)
        now = await patiently(clock, "the heartbeats of a copy at rest", state.beats)
    except (AccessDenied, NotFound):
        # Without rights to the state table nobody can have begun one under this name.
        return
    living = sorted(worker for worker, beat in now.items() if first.get(worker) != beat)
    if living:
        raise Refused(
            f"the table is being copied at rest (worker {living[0]}, state table {name}): changes that are applied "
            "meanwhile could be overwritten by older images. Wait for its end or stop it, then start again"
        )
    log.warning(
        "a copy at rest of this task was begun and not finished: what it did not copy is not at the destination. "
        "Finish it before following (dynamirror copy), or copy beside the changes (--copy --allow-non-empty)",
        extra={"event": "copy_at_rest_unfinished", "facts": {"table": name}},
    )
