"""A stream that is off, with something left for this task: it is followed to its end, also by a new worker, and also
where the table has a new one by now."""

import logging
from dataclasses import replace

from dynamirror.aws.lease_table import LeaseTable
from dynamirror.aws.streams import DynamoDBStream
from dynamirror.engines.attempts import patiently
from dynamirror.engines.reach import Reach
from dynamirror.engines.table_checks import VIEW_TYPE
from dynamirror.engines.waiting import Question
from dynamirror.errors import NotFound, Side
from dynamirror.ports import Clock, TableFacts
from dynamirror.prove.stream_view import ViewTools

log = logging.getLogger("dynamirror")


async def with_old_stream(
    reach: Reach, lease_table: str, source: TableFacts, clock: Clock, before: str | None
) -> TableFacts:
    """The facts of the source, with the stream that the task has followed `before` (None: not known; then its last
    one) where that is off and not applied to its end.

    1 the stream is switched off (`cutover`), which keeps its changes for a day; 2 the last worker dies before it has
    applied them; 3 one that refused to start would lose them. Raises Stop, or a Retry that did not pass.
    """
    arn = before or (source.last_stream_arn if source.stream_arn is None else None)
    if arn in (None, source.stream_arn):
        return source
    assert arn is not None, "looked at above"
    view = ViewTools(DynamoDBStream(reach.streams, arn), LeaseTable(reach.state, lease_table), clock, lambda: 0.0)
    what = Question(Side.SOURCE, reach.streams.url, f"DescribeStream of {arn}, which is off")
    try:
        seen = await patiently(clock, what, view.view)
    except NotFound:
        return source
    listed = {shard.id for shard in seen.listing.shards}
    followed = not listed.isdisjoint(seen.leases)
    left = {row.shard_id for row in seen.unfinished} & listed | {*seen.without_lease(int(clock.wall_s() * 1000))}
    if not followed or not left:
        return source
    log.warning(
        "the source's stream is off and not applied to its end (%d shards): what it still has is applied, then this "
        "worker ends",
        len(left),
        extra={"event": "old_stream", "facts": {"stream": arn, "shards": len(left)}},
    )
    return replace(source, stream_arn=arn, stream_view_type=VIEW_TYPE)
