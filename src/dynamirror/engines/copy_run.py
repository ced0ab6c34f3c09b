"""The `copy` command's engine: one worker's share in the copy, stopped by signals."""

import logging
from collections.abc import Mapping

from dynamirror.engines.assemble import SystemClock
from dynamirror.engines.live_progress import Line, told_on
from dynamirror.engines.stop_signals import stop_by_signals
from dynamirror.engines.table_copy import TableCopy
from dynamirror.errors import ExitCode
from dynamirror.model.copy_summary import Summary
from dynamirror.settings.groups import ReplicationSettings

log = logging.getLogger("dynamirror")


async def run_copy(settings: ReplicationSettings, environ: Mapping[str, str], line: Line | None = None) -> Summary:
    """Copy until all is over, or SIGTERM or SIGINT, which ends it within 5 s; say how it ended. Raises DynamirrorError.

    What was on its way then is written again by whoever goes on: at rest it is the same image. `line` tells the
    progress.
    """
    copy = TableCopy(settings, environ)
    stop_by_signals(copy.stop)
    async with told_on(line, copy.standing, copy.metrics, SystemClock()):
        summary = await copy.run()
    level = logging.INFO if summary.exit_code is ExitCode.OK else logging.WARNING
    if summary.over and level != logging.INFO:
        level = logging.ERROR
    facts = summary.as_json() | {"exit_code": int(summary.exit_code)}
    log.log(level, "%s", summary.line(), extra={"event": "copy_summary", "facts": facts})
    return summary
