"""`dynamirror copy`: a table that nobody changes is copied; no stream is needed."""

import json
import os
import platform
import time
from typing import Any

import click

from dynamirror.cli.options import GroupedHelp, given_values, replication_options
from dynamirror.settings.at_rest import AT_REST, of_copy, settings_at_rest
from dynamirror.settings.parse import values_of_variables

HELP = """Copy a DynamoDB table at rest to another table, and end.

For a table that nobody changes meanwhile: its stream may be off, and changes made during the copy are not followed
(`replicate --copy` does that). Start it on several machines with the same flags, and they share the segments. Whatever
ends it, the same command goes on where the copy was; once it is over, the same command says so and writes nothing.
Exit code 0: all is copied, and the counts add up; 1: stopped before the end, the counts do not add up, or items are
parked: the destination refuses them (dynamirror parked).
"""

EPILOG = """\b
Examples:
  dynamirror copy --source-region us-east-1 --source-table Orders \\
      --destination-region eu-west-1 --destination-table Orders --create-destination
  dynamirror copy ... --json | jq .items
"""


def _run(as_json: bool, **parameters: Any) -> int:
    """Settings from flags and variables (flags win), then the worker; returns its exit code."""
    values = {**of_copy(values_of_variables(os.environ)), **given_values(parameters)}
    settings = settings_at_rest(values, now_ms=int(time.time() * 1000))
    from dynamirror.engines.launch import launch_copy

    summary = launch_copy(settings, os.environ, host=platform.node().partition(".")[0] or "localhost")
    if as_json:
        click.echo(json.dumps(summary.as_json()))
    return int(summary.exit_code)


command = GroupedHelp(
    "copy",
    callback=_run,
    params=[
        *replication_options(AT_REST),
        click.Option(["--json", "as_json"], is_flag=True, help="Print the summary as JSON on standard output."),
    ],
    help=HELP,
    epilog=EPILOG,
)
