"""The `replicate` command's engine: one worker, stopped by signals."""

import logging
from collections.abc import Mapping

from dynamirror.engines.assemble import SystemClock
from dynamirror.engines.library import Replication
from dynamirror.engines.lifeline import Lifeline
from dynamirror.engines.live_progress import Line, told_on
from dynamirror.engines.stop_signals import stop_by_signals
from dynamirror.errors import ExitCode
from dynamirror.model.processes import Told
from dynamirror.observe.processes import text_of
from dynamirror.settings.groups import ReplicationSettings

log = logging.getLogger("dynamirror")


async def run_worker(
    settings: ReplicationSettings,
    environ: Mapping[str, str],
    worker: str | None = None,
    line: Line | None = None,
    lifeline: Lifeline | None = None,
) -> int:
    """Replicate until SIGTERM or SIGINT, then stop in order within 5 s. Raises DynamirrorError.

    Another signal, a second later or more, does not wait: the process ends as after a crash, which loses nothing
    either. On `line` the progress of a copy that was asked for is told, by `lifeline` a supervisor learns how it is.
    """
    replication = Replication(settings, environ, worker)
    if lifeline is not None:
        lifeline.tells(lambda: told_of(replication, lifeline.place.pages))
    stop_by_signals(replication.stop)
    source, destination = settings.source, settings.destination
    async with replication:
        if not replication.started:
            applied = replication.figures().changes_applied
            log.info("stopped before the start", extra={"event": "stopped", "facts": {"applied": applied}})
            return int(_told_of_gaps(replication) or _told_of_copy(replication))
        log.info(
            "replicating %s/%s -> %s/%s",
            source.region,
            source.table,
            destination.region,
            destination.table,
            extra={"event": "started", "facts": {"task": settings.task.lease_table, "worker": replication.worker}},
        )
        place = line if settings.copy.wanted else None
        async with told_on(place, replication.standing, replication.metrics, SystemClock()):
            await replication.wait()
    log.info("stopped", extra={"event": "stopped", "facts": {"applied": replication.figures().changes_applied}})
    return int(_told_of_gaps(replication) or _told_of_copy(replication))


def told_of(replication: Replication, pages: bool) -> Told:
    """What a supervisor is told; the figures only where it has somebody to show them to. From any thread."""
    found = replication.health()
    problems = None if found is None else [(one.shard_id, one.why) for one in found]
    return Told(replication.started, problems, text_of(replication.metrics.registry) if pages else "")


def _told_of_gaps(replication: Replication) -> ExitCode:
    gaps = replication.gaps_open
    if not gaps:
        return ExitCode.OK
    log.error(
        "%d gaps of the stream are open, the first: %s. Changes may be missing at the destination: compare and mend "
        "both tables with dynamirror verify --repair; hence exit code %d",
        len(gaps),
        gaps[0],
        ExitCode.GAP,
        extra={"event": "gaps_open", "facts": {"gaps": len(gaps), "exit_code": int(ExitCode.GAP)}},
    )
    return ExitCode.GAP


def _told_of_copy(replication: Replication) -> ExitCode:
    """Changes were followed in any case; a copy that is not sound must not be forgotten."""
    if not replication.copy_doubtful:
        return ExitCode.OK
    log.error(
        "the copy that went on meanwhile is not proven to be whole (its row in the state table: needsVerify): compare "
        "the tables; hence exit code 1",
        extra={"event": "copy_doubtful", "facts": {"exit_code": int(ExitCode.DIFFERS)}},
    )
    return ExitCode.DIFFERS
