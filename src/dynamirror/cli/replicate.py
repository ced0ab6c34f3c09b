"""`dynamirror replicate`, and the Java tool's command line."""

import os
import platform
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from dynamirror.cli.options import WORDS, GroupedHelp, given_values, replication_options
from dynamirror.settings.flags import FLAG_OF_FIELD
from dynamirror.settings.parse import settings_from, values_of_variables
from dynamirror.settings.processes import processes_on

if TYPE_CHECKING:
    from dynamirror.engines.child import Program

HELP = """Apply the changes of a DynamoDB table to another table, until stopped.

Reads the source table's stream from where the task stopped last (a new task: from the stream's oldest record,
24 hours back at most) and goes on until Ctrl-C or SIGTERM. Start it on several machines with the same flags, and
they share the shards; --processes has several workers on one machine. Each flag can also come from its DYNAMIRROR_*
variable; the flag wins. The spellings of dynamodb-cross-region-library are taken as well.
"""

EPILOG = """\b
Examples:
  dynamirror replicate --source-region us-east-1 --source-table Orders \\
      --destination-region eu-west-1 --destination-table Orders
  dynamirror replicate --source-profile live --source-region us-east-1 --source-table Orders \\
      --destination-profile archive --destination-region us-east-1 --destination-table Orders \\
      --task-name orders-archive --log-dir /var/log/dynamirror
  dynamirror replicate ... --processes auto --http 127.0.0.1:9600
"""


# Flags that the workers of a supervisor do not have; both take a value.
OF_SUPERVISOR = (FLAG_OF_FIELD["processes"], FLAG_OF_FIELD["http"])


def _run(**parameters: Any) -> int:
    """Settings from flags and variables (flags win), then the worker, or several; returns the exit code."""
    values = {**values_of_variables(os.environ), **given_values(parameters)}
    context = click.get_current_context()
    settings = settings_from(values, context.obj is True, now_ms=int(time.time() * 1000))
    from dynamirror.engines.cores import usable_cores

    host = platform.node().partition(".")[0] or "localhost"
    count = processes_on(usable_cores(), settings.processes)
    if count > 1:
        from dynamirror.engines.supervise import supervise

        return supervise(settings, _program(context.meta[WORDS], settings.metrics.http is not None), count, host)
    from dynamirror.engines.launch import launch
    from dynamirror.engines.lifeline import VARIABLE, lifeline_of

    lifeline = lifeline_of(os.environ.pop(VARIABLE, None))
    if lifeline is not None:
        lifeline.begin()
    return launch(settings, os.environ, host, lifeline)


def _program(words: Sequence[str], pages: bool) -> "Program":
    """This program once more, with the same flags and variables, as one worker."""
    from dynamirror.engines.child import Program
    from dynamirror.model.processes import words_without

    # `python -m` looks for modules in the working directory first; the command `dynamirror` does not.
    apart = ["-P"] if sys.modules["__main__"].__spec__ is None else []
    variables = {flag.variable for flag in OF_SUPERVISOR}
    return Program(
        command=[sys.executable, *apart, "-m", "dynamirror"],
        words=words_without(words, [flag.name for flag in OF_SUPERVISOR]),
        environ={name: value for name, value in os.environ.items() if name not in variables},
        pages=pages,
    )


command = GroupedHelp("replicate", callback=_run, params=replication_options(), help=HELP, epilog=EPILOG)
