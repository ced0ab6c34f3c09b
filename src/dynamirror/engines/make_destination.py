"""`--create-destination` in the life of a worker: made before anything is checked, finished when the copy is over."""

import logging
from contextlib import suppress

from dynamirror.aws.connect import Connections
from dynamirror.aws.control_plane import ControlPlane
from dynamirror.aws.state_rows import Incarnation
from dynamirror.copy.copier import Copier
from dynamirror.engines.attempts import patiently
from dynamirror.engines.clone import CloneOptions, ensure_destination, finish_destination
from dynamirror.engines.destination_life import refuse_made_anew
from dynamirror.engines.missing_tables import missing_source
from dynamirror.engines.other_pair import refuse_making_for_other_pair
from dynamirror.engines.preflight import Ready, found_table
from dynamirror.engines.preflight_at_rest import refuse_followed
from dynamirror.engines.table_checks import LEASE_SCHEMA, check_own, check_stream
from dynamirror.engines.verify_state import followed_stream
from dynamirror.errors import AccessDenied, Retry, Stop
from dynamirror.loops.log_limit import LogLimit
from dynamirror.model.backoff import Backoff
from dynamirror.model.copy import Phase
from dynamirror.ports import Clock
from dynamirror.settings.groups import ReplicationSettings

LOOK_EVERY_S = 5.0
RETRY = Backoff(first_s=1.0, most_s=60.0)

log = logging.getLogger("dynamirror.clone")


async def make_destination(
    connections: Connections, settings: ReplicationSettings, clock: Clock, ready: Ready | None = None
) -> None:
    """The destination, made like the source if there is none, and if that was asked for. Idempotent.

    Raises Refused, Stop, or a Retry that did not pass; nothing is made for a source whose stream would stop the start,
    nor before `ready` has found nothing either, nor for a copy at rest of a task that is followed, nor where the task's
    name stands for other tables.
    """
    if not settings.clone.wanted:
        return
    source = await found_table(connections.source_control, settings.source.table)
    if source is None:
        raise missing_source(settings, connections.source.url)
    if await found_table(connections.destination_control, settings.destination.table) is None:
        # Where there is one the task may have begun, and has to follow a stream that is off to its end.
        if settings.copy.at_rest:
            await refuse_making_for_other_pair(connections, settings, clock)
            await refuse_followed(connections, settings, source, clock)
        else:
            check_stream(source, settings)
            if ready is not None:
                await refuse_making_for_other_pair(connections, settings, clock)
                await _refuse_making(connections, settings, source.stream_arn or "", clock, ready)
    await ensure_destination(*_what(connections, settings, clock))


async def _refuse_making(
    connections: Connections, settings: ReplicationSettings, stream_arn: str, clock: Clock, ready: Ready
) -> None:
    leases = await found_table(connections.state_control, settings.task.lease_table)
    if leases is not None:
        check_own(f"lease table {settings.task.lease_table}", leases, LEASE_SCHEMA)
        with suppress(AccessDenied):
            stream_arn = await followed_stream(connections, settings, leases.table_id, clock) or stream_arn
        life = Incarnation(leases.table_id, stream_arn)
        await refuse_made_anew(connections.state, settings, life, None, clock)
    await ready(leases)


async def finish_when_copied(
    connections: Connections, settings: ReplicationSettings, copier: Copier | None, clock: Clock
) -> None:
    """Indexes that were left for later, and time to live, once the table is copied; at once where it is not.

    Goes on until it is done, or cancelled: the next start goes on. What cannot be done is said, and hinders no
    following.
    """
    if not settings.clone.wanted:
        return
    while settings.copy.wanted and (copier is None or copier.copy is None or copier.copy.phase is not Phase.OVER):
        await clock.sleep(LOOK_EVERY_S)
    attempt = 0
    limit = LogLimit(clock, RETRY.most_s)
    while True:
        try:
            await finish_destination(*_what(connections, settings, clock))
            return
        except Stop as error:
            log.error(
                "the destination is not finished (later indexes, time to live): %s; it is followed all the same, and "
                "the next start tries again",
                error,
                extra={"event": "clone_unfinished", "facts": {"table": settings.destination.table}},
            )
            return
        except Retry as error:
            if limit.allows():
                log.warning(
                    "finishing the destination: %s; trying again", error, extra={"event": "clone_retry", "facts": {}}
                )
            await clock.sleep(RETRY.delay_s(attempt, lambda: 0.5))
            attempt += 1


async def finish_at_rest(connections: Connections, settings: ReplicationSettings, clock: Clock) -> None:
    """What is left of the destination once the table is copied at rest. Idempotent; may take hours.

    Raises Stop, or a Retry that did not pass.
    """
    if not settings.clone.wanted:
        return
    try:
        await patiently(
            clock, "finishing the destination", lambda: finish_destination(*_what(connections, settings, clock))
        )
    except Stop as error:
        raise Stop(
            error.side,
            f"the table is copied, but the destination is not finished (later indexes, time to live): {error}; the "
            "same command tries again",
        ) from error


def _what(
    connections: Connections, settings: ReplicationSettings, clock: Clock
) -> tuple[ControlPlane, ControlPlane, str, str, CloneOptions, Clock]:
    destination = settings.destination
    clone = settings.clone
    options = CloneOptions(destination.region, clone.indexes_after_copy, clone.overrides, clone.origin)
    here, there = connections.source_control, connections.destination_control
    return here, there, settings.source.table, destination.table, options, clock
