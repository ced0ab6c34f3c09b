"""The checks before a table is copied at rest: both tables, the pair, and that nobody follows the task.

No stream is needed and no lease table made; all that is made is the state table.
"""

import logging
from dataclasses import dataclass

from dynamirror.aws.state_rows import Incarnation, at_rest
from dynamirror.aws.state_table import StateTable
from dynamirror.engines.preflight import both_tables, found_table
from dynamirror.engines.reach import Reach
from dynamirror.engines.refuse_items import refuse_items
from dynamirror.engines.signs_of_life import Watched, living_worker
from dynamirror.engines.state_setup import StateSetup
from dynamirror.engines.table_checks import LEASE_SCHEMA
from dynamirror.engines.waiting import reach_aloud
from dynamirror.errors import AccessDenied, NotFound, Refused, Side
from dynamirror.ports import Clock, TableFacts
from dynamirror.settings.bounds import refuse_unsound
from dynamirror.settings.groups import ReplicationSettings

log = logging.getLogger("dynamirror")


@dataclass(frozen=True, slots=True)
class RestFacts:
    """What the checks found and made. `life` is that of the copy's rows."""

    source: TableFacts
    destination: TableFacts
    life: Incarnation
    state: StateTable


async def check_at_rest(reach: Reach, settings: ReplicationSettings, clock: Clock) -> RestFacts:
    """Check, then make the state table. Raises Refused, Stop or a Retry that did not pass.

    Idempotent, also when several workers start at the same time.
    """
    refuse_unsound(settings)
    reach = reach_aloud(reach)
    source, destination = await both_tables(reach, settings)
    life = at_rest(source, destination)
    state = StateSetup(reach, settings, clock, (source.arn, destination.arn))
    await state.refuse_other_pair(life)
    await refuse_followed(reach, settings, source, clock)

    async def same_life() -> Incarnation:
        return life

    await refuse_items(reach.state, reach.destination, settings, clock, same_life)
    # Up to here no table has been changed or made.
    table = await state.open(life, follows=False)
    assert table is not None, "only the Java form goes on without a state table"
    return RestFacts(source, destination, life, table)


async def refuse_followed(reach: Reach, settings: ReplicationSettings, source: TableFacts, clock: Clock) -> None:
    """Raises Refused while a worker follows the task.

    1 a page is read; 2 an item of it changes, and the follower, which knows of no copy, writes the change; 3 the page
    lands: the older image stands there for ever.
    """
    name = settings.task.lease_table
    try:
        leases = await found_table(reach.state_control, name)
        if leases is None or leases.schema != LEASE_SCHEMA:
            return
        incarnation = Incarnation(leases.table_id, source.stream_arn or "")
        worker = await living_worker(Watched("this task", name, incarnation, Side.STATE), reach.state, clock)
    except NotFound:
        return
    except AccessDenied as error:
        log.warning(
            "cannot see whether this task is followed, which must not be while it is copied: %s",
            error,
            extra={"event": "followers_unseen", "facts": {"table": name}},
        )
        return
    if worker is not None:
        raise Refused(
            f"this task is followed (worker {worker}, lease table {name}): a copy at rest beside it would bring older "
            "images over newer ones. Stop it first, or copy beside the changes with dynamirror replicate --copy"
        )
