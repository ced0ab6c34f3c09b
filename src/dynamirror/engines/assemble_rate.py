"""Joins the sides of what a worker keeps its rates with."""

import logging

from dynamirror.aws.connect import Connections
from dynamirror.aws.rate_rows import RateRows
from dynamirror.aws.state_rows import Incarnation
from dynamirror.engines.preflight import Facts
from dynamirror.errors import Refused
from dynamirror.fleet.shares import Shares
from dynamirror.loops.rate import Rate
from dynamirror.model.lane import Lane
from dynamirror.model.task_name import state_table_name
from dynamirror.ports import Clock, MetricSink, TableFacts
from dynamirror.settings.groups import RateSettings, ReplicationSettings

log = logging.getLogger("dynamirror.rate")


def assemble_rate(
    source: TableFacts, destination: TableFacts, settings: RateSettings, clock: Clock, metrics: MetricSink
) -> Rate:
    """Both lanes. With a limit nothing moves before somebody has given a share of it (assemble_shares)."""
    now_s = clock.boottime_s()
    reads, writes = source.capacity.read, destination.capacity.write
    read = Lane(settings.read.of(reads) if settings.read else None, reads, now_s)
    write = Lane(settings.write.of(writes) if settings.write else None, writes, now_s)
    return Rate(clock, metrics, read, write, source.size_bytes / source.items if source.items else 0)


def assemble_shares(
    connections: Connections, facts: Facts, settings: ReplicationSettings, me: str, rate: Rate, clock: Clock
) -> Shares | None:
    """None without a state table: there is nobody to share a limit with then. One may be ordered at any time."""
    if facts.state is None:
        if not rate.limited:
            return None
        if rate.read.limited:
            raise Refused(
                "--max-read-rate is of the copy, and without the state table there is none: grant its rights "
                "(docs/reference/rights.md), or leave it out"
            )
        rate.write.alone(clock.boottime_s())
        log.warning(
            "without a state table the workers do not know of each other: the limit is this worker's alone",
            extra={"event": "limit_alone", "facts": {}},
        )
        return None
    life = Incarnation(facts.lease_table.table_id, facts.stream_arn)
    return Shares(rate_rows(connections, settings, life), facts.state, clock, rate, me)


def rate_rows(connections: Connections, settings: ReplicationSettings, life: Incarnation) -> RateRows:
    """What the workers of this life of the task say of their rates."""
    return RateRows(connections.state, state_table_name(settings.task.lease_table), life)
