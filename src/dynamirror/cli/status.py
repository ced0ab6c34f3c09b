"""`dynamirror status`: what a task's rows say of it."""

import shutil
import sys
from typing import Any

import click

from dynamirror.cli.early import INTERRUPTED
from dynamirror.cli.options import GroupedHelp
from dynamirror.cli.task_flags import on_task, task_options, task_settings
from dynamirror.engines.status_run import TaskView
from dynamirror.errors import ExitCode, Refused
from dynamirror.model.status import Status
from dynamirror.settings.groups import ReplicationSettings

HELP = """Show how a task stands: its workers, shards, lag, copy, parked items, gaps, orders, and what to look at.

Runs on any machine that may read the task's tables; no worker need run. Of the workers' flags give those that name
tables, task and credentials. Only reads: one Scan of the lease table, one Query for each kind of rows; never the
stream. It takes some seconds where a heartbeat stands still, since only a counter that moves shows life.

The lag of a shard is how long ago its owner knew all of it to be at the destination. That is written with each
checkpoint, and every 21 s at least, so a shard without changes shows up to 21 s. Rows of Java workers do not tell.

Exit code 0, also where there is no such task, and where --watch is ended by Ctrl-C; 5: the tables cannot be read.
"""

EPILOG = """\b
Examples:
  dynamirror status --source-region us-east-1 --source-table Orders \\
      --destination-region eu-west-1 --destination-table Orders
  dynamirror status ... --watch
  dynamirror status ... --json | jq '.shards[] | select(.lag_ms > 60000)'
"""

WATCH_S = 5.0
_CLEAR = "\x1b[H\x1b[2J"


def _run(watch: float | None, as_json: bool, **parameters: Any) -> int:
    if watch is not None and not 1 <= watch <= 3600:
        raise Refused(f"--watch {watch:g}: must be 1 to 3600 (seconds)")
    settings = task_settings(parameters)
    printer = _Printer(settings, as_json, watched=watch is not None)

    async def work(view: TaskView) -> bool:
        if watch is not None:
            await view.watch(watch, printer.show)
        printer.show(await view.status(), "")
        return True

    done = on_task(settings, work)
    return ExitCode.OK if done or watch is not None else INTERRUPTED


class _Printer:
    """Pages one below the other; where they are watched on a terminal, one over the other."""

    def __init__(self, settings: ReplicationSettings, as_json: bool, watched: bool) -> None:
        self._settings = settings
        self._as_json = as_json
        self._watched = watched
        self._redraws = watched and not as_json and sys.stdout.isatty()

    def show(self, status: Status | None, failed: str) -> None:
        """`failed`: why there is nothing to show this time."""
        if failed:
            click.echo(f"dynamirror: not read this time: {failed}", err=True)
            return
        text = self._json(status) if self._as_json else self._page(status)
        if self._redraws:
            sys.stdout.write(_CLEAR)
        elif self._watched and not self._as_json:
            text += "\n"
        click.echo(text)
        sys.stdout.flush()

    def _page(self, status: Status | None) -> str:
        from dynamirror.cli import status_page

        if status is None:
            return status_page.no_task(self._settings.task.lease_table, self._settings.task.region)
        if not sys.stdout.isatty():
            return status_page.page(status)
        size = shutil.get_terminal_size()
        page = status_page.page(status, size.lines)
        return "\n".join(line[: size.columns] for line in page.splitlines()) if self._redraws else page

    def _json(self, status: Status | None) -> str:
        from dynamirror.cli.status_json import document, no_task_json, status_json

        content = no_task_json(self._settings.task.lease_table) if status is None else status_json(status)
        return document(content, indented=not self._watched)


command = GroupedHelp(
    "status",
    callback=_run,
    params=[
        *task_options(),
        click.Option(
            ["--watch"],
            type=float,
            is_flag=False,
            flag_value=str(WATCH_S),
            default=None,
            metavar="[SECONDS]",
            help=f"Show it again and again, until Ctrl-C. Default: every {WATCH_S:g} s.",
        ),
    ],
    help=HELP,
    epilog=EPILOG,
)
