"""`dynamirror replicate`, and the Java tool's command line."""

import os
import platform
import time
from typing import Any

import click

from dynamirror.cli.options import GroupedHelp, given_values, replication_options
from dynamirror.settings.parse import settings_from, values_of_variables

HELP = """Apply the changes of a DynamoDB table to another table, until stopped.

Reads the source table's stream from where the task stopped last (a new task: from the stream's oldest record,
24 hours back at most) and goes on until Ctrl-C or SIGTERM. Start it on several machines with the same flags, and
they share the shards. Each flag can also come from its DYNAMIRROR_* variable; the flag wins. The spellings of
dynamodb-cross-region-library are taken as well.
"""

EPILOG = """\b
Examples:
  dynamirror replicate --source-region us-east-1 --source-table Orders \\
      --destination-region eu-west-1 --destination-table Orders
  dynamirror replicate --source-profile live --source-region us-east-1 --source-table Orders \\
      --destination-profile archive --destination-region us-east-1 --destination-table Orders \\
      --task-name orders-archive --log-dir /var/log/dynamirror
"""


def _run(**parameters: Any) -> int:
    """Settings from flags and variables (flags win), then the worker; returns its exit code."""
    values = {**values_of_variables(os.environ), **given_values(parameters)}
    java_form = click.get_current_context().obj is True
    settings = settings_from(values, java_form, now_ms=int(time.time() * 1000))
    from dynamirror.engines.launch import launch

    return launch(settings, os.environ, host=platform.node().partition(".")[0] or "localhost")


command = GroupedHelp("replicate", callback=_run, params=replication_options(), help=HELP, epilog=EPILOG)
