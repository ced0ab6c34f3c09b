"""`dynamirror reset`: forgets what a task knows of its progress."""

import asyncio
import sys
from typing import Any

import click

from dynamirror.cli.early import INTERRUPTED
from dynamirror.cli.options import GroupedHelp
from dynamirror.cli.task_flags import on_task, task_options, task_settings
from dynamirror.engines.reset_task import Deletion, HalfReset, living
from dynamirror.engines.status_run import TaskView, refuse_other_pair
from dynamirror.errors import ExitCode, Refused
from dynamirror.model.status import Status
from dynamirror.settings.groups import ReplicationSettings

HELP = """Delete the lease table and the state table of a task, so that its next start begins anew.

Neither source nor destination is touched. What would be lost is shown first: checkpoints, the state of a copy, parked
items, open gaps, items to be reconciled, orders. Refused while a worker shows life: its heartbeat moves, or, of Java
workers, the counters of its leases, which takes up to 25 s to see (Java workers with a fail-over time above 75 s may
live and show nothing: stop them yourself). It asks on a terminal, and needs --yes elsewhere.
Needs dynamodb:DeleteTable on both tables.

Exit code 0: both are gone, or there were none; 1: --dry-run, and a worker shows life; 2: refused, nothing was deleted;
5: a table may not be deleted, or does not go away; 130: ended by a signal. Where one of the two is deleted already a
line says so, and --json ("deleted", "left"): the same command goes on from there.
"""

EPILOG = """\b
Examples:
  dynamirror reset --source-region us-east-1 --source-table Orders \\
      --destination-region eu-west-1 --destination-table Orders --dry-run
  dynamirror reset ... --yes --json
"""


def _run(force: bool, yes: bool, dry_run: bool, as_json: bool, **parameters: Any) -> int:
    settings = task_settings(parameters)
    reset = _Reset(settings, force, yes, dry_run, as_json)
    code = on_task(settings, reset.run)
    return INTERRUPTED if code is None else code


class _Reset:
    """One call of the command."""

    def __init__(self, settings: ReplicationSettings, force: bool, yes: bool, dry_run: bool, as_json: bool) -> None:
        self._settings = settings
        self._force = force
        self._yes = yes
        self._dry_run = dry_run
        self._as_json = as_json

    async def run(self, view: TaskView) -> int:
        """Returns the exit code. Raises Refused, Stop, Retry."""
        status = await view.status()
        if status is None:
            self._say(
                "There is no such task: nothing to reset.", {"deleted": [], "left": [], "lost": None, "living": []}
            )
            return ExitCode.OK
        refuse_other_pair(status, self._settings)
        if not self._as_json:
            click.echo(lost_text(status))
        alive = await living(view, status)
        facts: dict[str, Any] = {"deleted": [], "left": [], "lost": lost_json(status), "living": alive}
        if self._dry_run:
            would = (
                f"It would be refused: worker {alive[0]} shows life." if alive else "Nothing was deleted (--dry-run)."
            )
            self._say(would, facts)
            return ExitCode.DIFFERS if alive and not self._force else ExitCode.OK
        if alive and not self._force:
            raise Refused(
                f"worker {alive[0]} shows life ({len(alive)} in all): stop the workers of this task first, or give "
                "--force, and they end by themselves with exit code 5"
            )
        self._confirm()
        await self._delete(Deletion(view, status), facts)
        self._say("\n".join([f"Deleted: {', '.join(facts['deleted'])}.", AFTERWARDS]), facts)
        return ExitCode.OK

    async def _delete(self, deletion: Deletion, facts: dict[str, Any]) -> None:
        """What was deleted, and is left, is said however it ends."""
        facts |= {"deleted": deletion.deleted, "left": deletion.left}
        try:
            await deletion.run()
        except asyncio.CancelledError:
            click.echo(f"dynamirror: {deletion.half('ended by a signal')}", err=True)
            self._say_facts(facts)
            raise
        except HalfReset:
            self._say_facts(facts)
            raise

    def _confirm(self) -> None:
        if self._yes:
            return
        if not sys.stdin.isatty():
            raise Refused("reset needs --yes where nobody can be asked; nothing was deleted")
        if not click.confirm("Delete both tables?", err=True):
            raise Refused("nothing was deleted")

    def _say(self, text: str, facts: dict[str, Any]) -> None:
        if not self._as_json:
            click.echo(text)
        self._say_facts(facts)
        sys.stdout.flush()

    def _say_facts(self, facts: dict[str, Any]) -> None:
        if self._as_json:
            from dynamirror.cli.status_json import document

            click.echo(document(facts))


AFTERWARDS = (
    "The next start of this task begins anew: at the oldest change that the stream still has (24 h), or where "
    "--start-at says. It copies nothing without --copy, with --allow-non-empty where the destination has items "
    "already. What was changed before, and not applied, may be in the stream no more: compare then, with dynamirror "
    "verify --repair."
)


def lost_text(status: Status) -> str:
    """What goes with the tables."""
    lost = lost_json(status)
    copies = ", ".join(copy["phase"] + (" (at rest)" if copy["at_rest"] else "") for copy in lost["copies"]) or "none"
    return "\n".join(
        [
            f"With {status.seen.task.lease_table} and its state table these are lost:",
            f"  checkpoints         {lost['checkpoints']}, and {lost['finished_shards']} shards that are finished",
            f"  copy                {copies}",
            f"  parked items        {lost['parked_items']}",
            f"  open gaps           {lost['gaps']}",
            f"  to be reconciled    {lost['duties']}",
            f"  orders              {'paused' if lost['paused'] else 'not paused'}, {lost['orders']} given",
        ]
    )


def lost_json(status: Status) -> dict[str, Any]:
    """The same as facts."""
    seen = status.seen
    finished = sum(row.finished for row in seen.leases)
    return {
        "lease_table": seen.task.lease_table,
        "state_table": seen.task.state_table,
        "checkpoints": len(seen.leases) - finished,
        "finished_shards": finished,
        "copies": [{"phase": copied.copy.phase.value, "at_rest": copied.at_rest} for copied in status.copies],
        "parked_items": seen.parked,
        "gaps": len(seen.gaps),
        "duties": seen.duties,
        "orders": seen.orders.counter,
        "paused": seen.orders.paused,
    }


command = GroupedHelp(
    "reset",
    callback=_run,
    params=[
        *task_options(),
        click.Option(
            ["--dry-run"], is_flag=True, help="Only show what would be lost, and whether a worker shows life."
        ),
        click.Option(["--yes"], is_flag=True, help="Do not ask."),
        click.Option(["--force"], is_flag=True, help="Also while a worker shows life."),
    ],
    help=HELP,
    epilog=EPILOG,
)
