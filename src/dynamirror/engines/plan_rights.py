"""The rights that a start and its task would need, table by table."""

import asyncio
from dataclasses import replace
from typing import TypeAlias

from dynamirror.engines.plan_facts import TableSeen
from dynamirror.engines.plan_permissions import (
    Answer,
    Place,
    Right,
    batch_right,
    deleting_right,
    reading_rights,
    stream_rights,
    writing_rights,
)
from dynamirror.engines.reach import Reach
from dynamirror.errors import DynamirrorError, Side
from dynamirror.model.shard_graph import Listing
from dynamirror.model.task_name import state_table_name
from dynamirror.ports import TableFacts
from dynamirror.settings.groups import ReplicationSettings

# A table of ours: there, not to be seen, or not there.
Found: TypeAlias = TableFacts | DynamirrorError | None


PUBLISHING = Right(
    Side.STATE,
    "CloudWatch",
    "PutMetricData",
    Answer.NOT_CHECKED,
    "trying it would publish a figure",
    else_not="figures are not published",
)


async def all_rights(
    reach: Reach,
    settings: ReplicationSettings,
    pair: tuple[TableSeen | None, TableSeen | None],
    listing: Listing | None,
    own: tuple[Found, Found],
) -> tuple[Right, ...]:
    """Those on the pair that was seen, on the stream if it was listed, and on lease and state table (`own`)."""
    source, destination = pair
    # A Scan is what a copy needs: of the source, and for the question whether the destination is empty.
    reads = ("Scan", "BatchGetItem") if settings.copy.wanted else ("BatchGetItem",)
    sides = await asyncio.gather(
        _source_rights(reach, source, reads),
        _listed_rights(reach, source, listing),
        _destination_rights(reach, destination, reads),
        _own_rights(reach, settings.task.lease_table, own),
    )
    found = [right for rights in sides for right in rights]
    if settings.metrics.cloudwatch is not None:
        found.append(PUBLISHING)
    return tuple(found)


async def _source_rights(reach: Reach, seen: TableSeen | None, reads: tuple[str, ...]) -> tuple[Right, ...]:
    if seen is None:
        return ()
    return await reading_rights(Place(reach.source, Side.SOURCE, seen.name, seen.facts.schema), *reads)


async def _listed_rights(reach: Reach, seen: TableSeen | None, listing: Listing | None) -> tuple[Right, ...]:
    if seen is None or listing is None or seen.facts.stream_arn is None:
        return ()
    return await stream_rights(reach.streams, seen.facts.stream_arn, listing)


async def _destination_rights(reach: Reach, seen: TableSeen | None, reads: tuple[str, ...]) -> tuple[Right, ...]:
    if seen is None:
        return ()
    place = Place(reach.destination, Side.DESTINATION, seen.name, seen.facts.schema)
    rights = [*await reading_rights(place, *reads), await batch_right(place)]
    shown = await deleting_right(place)
    return (*rights, shown, *await writing_rights(place, shown, "PutItem"))


async def _own_rights(reach: Reach, name: str, own: tuple[Found, Found]) -> tuple[Right, ...]:
    leases, state = _own_place(reach, name, own[0]), _own_place(reach, state_table_name(name), own[1])
    rights: list[Right] = []
    shown = None
    if isinstance(state, Place):
        shown = replace(await deleting_right(state), else_not="what is over stays listed there, and counted")
        rights += await reading_rights(state, "Query", "GetItem")
        rights += [shown, *await writing_rights(state, shown, "PutItem")]
    if isinstance(leases, Place):
        removing = replace(await deleting_right(leases), else_not="rows of finished shards stay there")
        # Of the same service: where either is allowed it has shown that it heeds conditions.
        heeding = shown if shown is not None and shown.answer is Answer.ALLOWED else removing
        rights += await reading_rights(leases, "Scan", "GetItem")
        rights += [removing, *await writing_rights(leases, heeding, "PutItem", "UpdateItem")]
    return (*rights, *(right for right in (leases, state) if isinstance(right, Right)))


def _own_place(reach: Reach, name: str, seen: Found) -> Place | Right | None:
    """Where to ask; that making it is not asked for; or nothing, for a table that findings speak of."""
    if seen is None:
        why = "the table is not there yet; making it cannot be tried without making it"
        return Right(Side.STATE, name, "CreateTable", Answer.NOT_CHECKED, why)
    if isinstance(seen, DynamirrorError) or seen.status not in ("ACTIVE", "UPDATING"):
        return None
    return Place(reach.state, Side.STATE, name, seen.schema)
