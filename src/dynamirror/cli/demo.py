"""`dynamirror demo`: live replication on this machine, compared item by item at the end."""

import click

from dynamirror.cli.options import OneLine

HELP = """Show replication at work on this machine, without an account.

Starts an embedded DynamoDB, makes a source and a destination table, writes live traffic (inserts, updates,
deletes, a hot key), replicates it, and compares both tables item by item at the end. Exit code 1 when they differ.
Nothing of the environment counts here: no credentials, no profile, and no DYNAMIRROR_* variable for these flags.
"""

EPILOG = """\b
Examples:
  dynamirror demo
  dynamirror demo --seconds 10 --rate 500
  dynamirror demo --keep
"""


def _run(seconds: float, rate: int, keep: bool, dynamodb_local: bool, as_json: bool) -> int:
    from dynamirror.engines.demo import DemoOptions, run_demo

    options = DemoOptions(seconds=seconds, rate=rate, keep=keep, dynamodb_local=dynamodb_local, json=as_json)
    return run_demo(options)


command = OneLine(
    "demo",
    callback=_run,
    help=HELP,
    epilog=EPILOG,
    params=[
        click.Option(
            ["--seconds"],
            type=click.FloatRange(1, 24 * 3600),
            default=30.0,
            show_default=True,
            metavar="SECONDS",
            help="How long traffic is written.",
        ),
        click.Option(
            ["--rate"],
            type=click.IntRange(1, 100_000),
            default=200,
            show_default=True,
            metavar="COUNT",
            help="Changes a second that are aimed at.",
        ),
        click.Option(["--keep"], is_flag=True, help="Go on after the comparison until Ctrl-C, to look around."),
        click.Option(["--dynamodb-local"], is_flag=True, help="Use DynamoDB Local (needs Java) instead of MiniStack."),
        click.Option(["--json", "as_json"], is_flag=True, help="Print the facts as JSON instead of live progress."),
    ],
)
