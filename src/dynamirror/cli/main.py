"""The `dynamirror` command: finds the sub-command, turns every outcome into one line and an exit code.

Sub-commands are imported when they are called, so that help is quick. A first word that is a flag is the
Java tool's form: the same as `replicate`, with the leniency that goes with it (settings.java_form).
"""

import os
import sys
from difflib import get_close_matches
from importlib import import_module

import click
from click.shell_completion import CompletionItem

from dynamirror import __version__
from dynamirror.cli import outcome
from dynamirror.cli.options import WORDS

# Command -> its module's attribute, and the line in the list of commands.
COMMANDS = {
    "replicate": ("dynamirror.cli.replicate:command", "Apply a table's changes to another table, until stopped."),
    "copy": ("dynamirror.cli.copy:command", "Copy a table that nobody changes to another table, and end."),
    "verify": ("dynamirror.cli.verify:command", "Compare two tables in use, item by item; mend what differs."),
    "status": ("dynamirror.cli.status:command", "Show how a task stands: workers, shards, lag, copy, what to look at."),
    "pause": ("dynamirror.cli.orders:pause", "Let all workers of a task stop reading and copying, and stay."),
    "resume": ("dynamirror.cli.orders:resume", "Let a paused task go on."),
    "set-rate": ("dynamirror.cli.orders:set_rate", "Change the limits of running workers."),
    "parked": ("dynamirror.cli.parked:command", "Items that the destination refuses: list, show, retry, drop."),
    "cutover": ("dynamirror.cli.cutover:command", "Move writers to the destination, with a report of what is proven."),
    "reset": ("dynamirror.cli.reset:command", "Forget a task's progress: delete its lease and state tables."),
    "plan": ("dynamirror.cli.plan:command", "Say whether all is ready, how long a copy takes, what it costs."),
    "demo": ("dynamirror.cli.demo:command", "Replicate live traffic on this machine; no account needed."),
    "completion": ("dynamirror.cli.completion:command", "Print the completion script of bash, zsh or fish."),
}

# Required by replicate: where it is set, no arguments are no call for help.
GIVEN_BY_VARIABLE = "DYNAMIRROR_SOURCE_TABLE"

HELP = """Copies a DynamoDB table to another Region or account through its stream.

Without a command, the flags of replicate are taken, in the spelling of dynamodb-cross-region-library too.

\b
Examples:
  dynamirror demo
  dynamirror plan --source-region us-east-1 --source-table Orders \\
      --destination-region eu-west-1 --destination-table Orders --copy
  dynamirror replicate --source-region us-east-1 --source-table Orders \\
      --destination-region eu-west-1 --destination-table Orders
  dynamirror --sourceRegion us-east-1 --sourceTable Orders \\
      --destinationRegion eu-west-1 --destinationTable Orders
"""

EPILOG = """Exit codes: 0 as asked, 1 differs or not ready, 2 arguments or configuration, 3 source, 4 destination,
5 lease or state table, 6 changes lost before they were read, 7 too many parked items, 70 internal error."""


class Commands(click.Group):
    """The group of commands, each loaded by need. `ctx.obj` is True when the Java tool's form was used."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `replicate` before flags that stand without a command."""
        ctx.meta[WORDS] = tuple(args)
        if not args and os.environ.get(GIVEN_BY_VARIABLE):
            # Everything by DYNAMIRROR_* variables, as in a container.
            args = ["replicate"]
        own = {name for param in self.get_params(ctx) for name in param.opts}
        if args and args[0].startswith("-") and args[0] not in own:
            ctx.obj = True
            args = ["replicate", *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's, but an unknown word is answered with the command most like it."""
        if args[0] not in COMMANDS and not ctx.resilient_parsing:
            near = get_close_matches(args[0], COMMANDS, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise click.UsageError(f"no such command: {args[0]}{hint}", ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Flags that stand without a command are those of replicate."""
        found = super().shell_complete(ctx, incomplete)
        command = self.get_command(ctx, "replicate")
        if incomplete.startswith("-") and command is not None:
            known = {item.value for item in found}
            theirs = command.shell_complete(
                command.make_context("replicate", [], ctx, resilient_parsing=True), incomplete
            )
            found += [item for item in theirs if item.value not in known]
        return found

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        found = getattr(import_module(module), attribute)
        assert isinstance(found, click.Command)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """From the table, so that help imports no command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


cli = Commands(
    "dynamirror",
    help=HELP,
    epilog=EPILOG,
    params=[
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            help="Show the version and exit.",
            callback=lambda ctx, _, given: _show_version(ctx) if given else None,
        )
    ],
    context_settings={"help_option_names": ["--help", "-h"], "max_content_width": 110},
    no_args_is_help=True,
)


def _show_version(ctx: click.Context) -> None:
    click.echo(f"dynamirror {__version__}")
    ctx.exit()


def main(args: list[str] | None = None) -> int:
    """Run one command line (the process's own when None); returns the exit code. SystemExit for an internal error."""
    try:
        return int(cli.main(args, prog_name="dynamirror", standalone_mode=False) or 0)
    except BrokenPipeError:
        # The reader of our output has gone (`| head`); nothing may be written to it at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        code = outcome.reported(error)
        if code is None:
            raise SystemExit(outcome.reported_internal(error, os.environ)) from error
        return code
