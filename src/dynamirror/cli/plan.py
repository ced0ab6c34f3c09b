"""`dynamirror plan`: what a start would find, take and cost; nothing is changed."""

import os
import sys
import time
from typing import Any

import click

from dynamirror.cli.options import GroupedHelp, given_values, replication_options
from dynamirror.errors import Refused
from dynamirror.settings.parse import settings_from, values_of_variables

HELP = """Look at everything that `replicate` would need, on one page. Reads only.

Takes the flags of replicate: what stands in its command line is what is judged. Says what is not ready and what to do
about it, how long a copy takes (with --copy) and what it costs, who else reads the stream, which rights are missing.
--diff-schema also shows how the two tables are defined: breaks (nothing, or not every item, can be replicated), risks
(writes may be refused or throttled, or items vanish), differs (another table for its readers, its owner, or its bill).
Exit code 0: ready; 1: not ready. What breaks is among what is not ready; other differences change no exit code.
"""

EPILOG = """\b
Examples:
  dynamirror plan --source-region us-east-1 --source-table Orders \\
      --destination-region eu-west-1 --destination-table Orders --copy
  dynamirror plan ... --json | jq .findings
  dynamirror plan ... --diff-schema
"""


def _run(
    as_json: bool,
    diff_schema: bool,
    write_rate: float | None,
    changes_a_day: float | None,
    price: Any,
    **parameters: Any,
) -> int:
    values = {**values_of_variables(os.environ), **given_values(parameters)}
    settings = settings_from(values, java_form=False, now_ms=int(time.time() * 1000))
    from dynamirror.cli import plan_page
    from dynamirror.engines.plan import PlanOptions
    from dynamirror.engines.plan_run import run_plan

    options = PlanOptions(dict(map(_price, price)), write_rate, changes_a_day, settings.clone.wanted)
    plan = run_plan(settings, os.environ, options, diff_schema=diff_schema)
    if as_json:
        click.echo(plan_page.as_json(plan))
    else:
        color = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        click.echo(plan_page.as_text(plan, color=color), color=color)
    return plan.exit_code


def _price(text: str) -> tuple[str, float]:
    from dynamirror.model.prices import PRICE_NAMES

    name, _, value = text.partition("=")
    try:
        if name in PRICE_NAMES:
            return name, float(value)
    except ValueError:
        pass
    raise Refused(f"--price {text}: give NAME=USD, NAME one of {', '.join(PRICE_NAMES)}")


command = GroupedHelp(
    "plan",
    callback=_run,
    params=[
        *replication_options(),
        click.Option(["--json", "as_json"], is_flag=True, help="One JSON document instead of a page."),
        click.Option(
            ["--diff-schema"],
            is_flag=True,
            help="Show how the two tables are defined differently, setting by setting; changes no exit code.",
        ),
        click.Option(
            ["--write-rate"],
            type=click.FloatRange(min=0, min_open=True),
            metavar="UNITS",
            help="Write units a second that the destination takes; default: as its definition says.",
        ),
        click.Option(
            ["--changes-a-day"],
            type=click.FloatRange(min=0),
            metavar="COUNT",
            help="For the cost of a day of following; default: told for each million.",
        ),
        click.Option(
            ["--price"],
            multiple=True,
            metavar="NAME=USD",
            help="A price of yours instead of the listed one; may be given several times.",
        ),
    ],
    help=HELP,
    epilog=EPILOG,
)
