"""`dynamirror pause`, `resume` and `set-rate`: orders to the running workers of a task, without a restart."""

from collections.abc import Callable
from typing import Any

import click

from dynamirror.cli.early import INTERRUPTED
from dynamirror.cli.options import GroupedHelp
from dynamirror.cli.task_flags import on_task, task_options, task_settings, who
from dynamirror.engines.give_orders import Given, check_orders, give
from dynamirror.engines.status_run import TaskView
from dynamirror.errors import ExitCode, Refused
from dynamirror.model.orders import Ordered, Orders
from dynamirror.settings.rate import parsed_order

PAUSE = """Let all workers of a task stop reading and copying, within about 5 s, without ending them.

What was on its way is written, checkpoints are saved, leases are kept and renewed; nothing else takes them. It holds
for workers that start later too, until `dynamirror resume`. Items that have to be reconciled still are: that belongs to
what was sent before. A stream keeps changes for 24 hours: whoever stays paused for longer loses changes; status tells
how long is left, and from 20 hours on every worker warns, once an hour. Meanwhile /healthz says healthy, and lag grows:
silence what watches it, or let it look at dynamirror_paused.

Exit code 0: paused, also where it was before; 2: no such task, or none of its workers obeys orders (no state table, the
name is another pair's); 5: its tables cannot be read or written.
"""

RESUME = """Let a paused task go on where it was.

Exit code 0: it goes on, also where it was not paused; 2 and 5 as `pause`.
"""

SET_RATE = """Change the limits of running workers, within some seconds; they need not have been started with any.

A limit is for all workers of the task together, as --max-read-rate and --max-write-rate of `replicate`: units a second
(500), or a share of the table's capacity (50%). `none` lifts it, `default` returns to each worker's own flags. What is
not given stays as it is. Workers that start later keep to it too.

Exit code 0: ordered; 2: no such limit, or as `pause`; 3, 4: a share of a table that cannot be described; 5 as `pause`.
"""

_TASK = """--source-region us-east-1 --source-table Orders \\
      --destination-region eu-west-1 --destination-table Orders"""


def _run(parameters: dict[str, Any], change: Callable[[Orders, int], Orders], page: Callable[[Given], str]) -> int:
    return _given(parameters, lambda view: give(view, change), page)


def _given(parameters: dict[str, Any], work: Any, page: Callable[[Given], str]) -> int:
    as_json = parameters.pop("as_json")
    given: Given | None = on_task(task_settings(parameters), work)
    if given is None:
        click.echo("dynamirror: ended before it was done; dynamirror status shows what is ordered", err=True)
        return INTERRUPTED
    from dynamirror.cli.orders_page import orders_json
    from dynamirror.cli.status_json import document

    click.echo(document(orders_json(given)) if as_json else page(given))
    return ExitCode.OK


def _pause(**parameters: Any) -> int:
    from dynamirror.cli.orders_page import pause_text

    return _run(parameters, lambda orders, at_ms: orders.pause(at_ms, who()), pause_text)


def _resume(**parameters: Any) -> int:
    from dynamirror.cli.orders_page import resume_text

    return _run(parameters, lambda orders, at_ms: orders.resume(at_ms, who()), resume_text)


def _set_rate(read: str | None, write: str | None, **parameters: Any) -> int:
    from dynamirror.cli.orders_page import rate_text

    if read is None and write is None:
        raise Refused("set-rate needs --max-read-rate or --max-write-rate")
    wanted = _ordered(read, "--max-read-rate"), _ordered(write, "--max-write-rate")

    async def work(view: TaskView) -> Given:
        await check_orders(view, *wanted)
        return await give(view, lambda orders, at_ms: orders.rates(*wanted, at_ms, who()))

    return _given(parameters, work, rate_text)


def _ordered(text: str | None, label: str) -> Ordered | None:
    return None if text is None else parsed_order(text.strip(), label)


pause = GroupedHelp(
    "pause",
    callback=_pause,
    params=task_options(),
    help=PAUSE,
    epilog=f"\b\nExamples:\n  dynamirror pause {_TASK}\n",
)
resume = GroupedHelp(
    "resume",
    callback=_resume,
    params=task_options(),
    help=RESUME,
    epilog=f"\b\nExamples:\n  dynamirror resume {_TASK}\n",
)
set_rate = GroupedHelp(
    "set-rate",
    callback=_set_rate,
    params=[
        *task_options(),
        click.Option(["--max-read-rate", "read"], metavar="RATE", help="Of the copy, at the source."),
        click.Option(["--max-write-rate", "write"], metavar="RATE", help="Of changes and copy, at the destination."),
    ],
    help=SET_RATE,
    epilog=(
        f"\b\nExamples:\n  dynamirror set-rate {_TASK} --max-write-rate 500\n"
        "  dynamirror set-rate ... --max-read-rate 25% --max-write-rate none\n"
        "  dynamirror set-rate ... --max-read-rate default --max-write-rate default\n"
    ),
)
