"""`dynamirror parked`: items that the destination refuses are listed, shown, tried again, dropped."""

import os
import platform
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import click

from dynamirror.cli.early import INTERRUPTED
from dynamirror.cli.options import GroupedHelp, given_values, replication_options
from dynamirror.cli.verify import FIELDS
from dynamirror.errors import ExitCode, Refused
from dynamirror.settings.flags import FLAGS
from dynamirror.settings.groups import ReplicationSettings
from dynamirror.settings.parse import settings_from, values_of_variables

HELP = """Items that the destination refuses, and that the task goes on without: list, show, retry, drop.

What is too large for the destination, or has an index key of the wrong type there, is parked in the task's state table,
and the other items go on. Its next change that the destination takes un-parks it. Of the workers' flags give those
that name tables, task and credentials.
"""

LIST = """List the parked items: id, key, change, time, size, error. Those of `dynamirror copy` too."""

SHOW = """Show one item as the destination refused it. ID: as listed, or the beginning of it."""

RETRY = """Make these items, or all, at the destination what they are at the source now; safe beside replication.

Each is compared, written on the condition that it still is as it was seen, and leaves the list when both sides are the
same. Exit code 0: none of them is left; 7: some are, and what is said of each.
"""

DROP = """Forget these items, or all of them (--all). They differ from the source from then on, until their next change,
and nothing remembers them.

`dynamirror verify --repair` finds and mends them where the destination takes them.
"""

EPILOG = """\b
Examples:
  dynamirror parked list --source-region us-east-1 --source-table Orders \\
      --destination-region eu-west-1 --destination-table Orders
  dynamirror parked show 1f3a90c2 ...
  dynamirror parked retry ... --json
"""

T = TypeVar("T")


def _settings(parameters: dict[str, Any]) -> ReplicationSettings:
    variables = {field: value for field, value in values_of_variables(os.environ).items() if field in FIELDS}
    return settings_from({**variables, **given_values(parameters)}, java_form=False, now_ms=int(time.time() * 1000))


def _run(parameters: dict[str, Any], work: Callable[[Any], Awaitable[T]], page: Callable[[T], str]) -> T | None:
    """What `work` has found, once it is printed; None: a signal ended it."""
    settings = _settings(parameters)
    from dynamirror.engines.launch import set_up_task_logs
    from dynamirror.engines.parked_run import run_parked

    set_up_task_logs(settings, host=platform.node().partition(".")[0] or "localhost")
    found = run_parked(settings, os.environ, work)
    if found is None:
        click.echo("dynamirror: ended before it was done; the items are as they were, or settled", err=True)
        return None
    click.echo(page(found))
    sys.stdout.flush()
    return found


def _list(as_json: bool, **parameters: Any) -> int:
    from dynamirror.cli import parked_page

    page = parked_page.list_json if as_json else parked_page.list_text
    found = _run(parameters, lambda items: items.all(), page)
    return INTERRUPTED if found is None else ExitCode.OK


def _show(wanted: str, as_json: bool, **parameters: Any) -> int:
    from dynamirror.cli import parked_page

    page = parked_page.show_json if as_json else parked_page.show_text
    found = _run(parameters, lambda items: items.image(wanted), page)
    return INTERRUPTED if found is None else ExitCode.OK


def _retry(wanted: tuple[str, ...], as_json: bool, **parameters: Any) -> int:
    from dynamirror.cli import parked_page

    page = parked_page.retry_json if as_json else parked_page.retry_text
    found = _run(parameters, lambda items: items.retry(wanted), page)
    if found is None:
        return INTERRUPTED
    return ExitCode.PARKED if parked_page.remaining(found) else ExitCode.OK


def _drop(wanted: tuple[str, ...], every: bool, yes: bool, as_json: bool, **parameters: Any) -> int:
    from dynamirror.cli import parked_page

    if bool(wanted) == every:
        raise Refused("parked drop needs the ids of the items, or --all")
    if not yes:
        _confirm("all parked items" if every else f"{len(wanted)} parked items")
    page = parked_page.drop_json if as_json else parked_page.drop_text
    found = _run(parameters, lambda items: items.drop(wanted), page)
    if found is None:
        return INTERRUPTED
    return ExitCode.PARKED if found[1] else ExitCode.OK


def _confirm(what: str) -> None:
    if not sys.stdin.isatty():
        raise Refused("parked drop needs --yes where nobody can be asked")
    question = f"Forget {what}? They differ from the source from then on, until their next change."
    if not click.confirm(question, err=True):
        raise Refused("nothing was dropped")


_JSON = click.Option(["--json", "as_json"], is_flag=True, help="One JSON document instead of a page.")
_FLAGS = [flag for flag in FLAGS if flag.field in FIELDS]


def _command(
    name: str, callback: Callable[..., int], help_text: str, line: str, *params: click.Parameter
) -> click.Command:
    return GroupedHelp(
        name,
        callback=callback,
        params=[*params, *replication_options(_FLAGS), _JSON],
        help=help_text,
        short_help=line,
    )


class _Parts(click.Group):
    """In the order of the table."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """See click."""
        return list(self.commands)


command = _Parts(
    "parked",
    help=HELP,
    epilog=EPILOG,
    no_args_is_help=True,
    commands=[
        _command("list", _list, LIST, "List them."),
        _command("show", _show, SHOW, "Show one, with its image.", click.Argument(["wanted"], metavar="ID")),
        _command(
            "retry",
            _retry,
            RETRY,
            "Try them again, as they are at the source now.",
            click.Argument(["wanted"], nargs=-1, metavar="[ID]..."),
        ),
        _command(
            "drop",
            _drop,
            DROP,
            "Forget them.",
            click.Argument(["wanted"], nargs=-1, metavar="[ID]..."),
            click.Option(["--all", "every"], is_flag=True, help="All of them."),
            click.Option(["--yes"], is_flag=True, help="Do not ask."),
        ),
    ],
)
