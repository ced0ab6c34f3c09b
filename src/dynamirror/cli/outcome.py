"""What an exception becomes on the way out: one line on stderr and an exit code."""

import traceback
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path

import click

from dynamirror.cli.early import INTERRUPTED
from dynamirror.errors import DynamirrorError, ExitCode


def reported(error: Exception) -> int | None:
    """Print what `error` means and return the exit code; None, and nothing printed, when it is unforeseen."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return ExitCode.USAGE
    if isinstance(error, click.ClickException):
        _say(_usage_line(error))
        return ExitCode.USAGE
    if isinstance(error, click.Abort):
        return INTERRUPTED
    known = known_error(error)
    if known is None:
        return None
    _end(str(known), known.exit_code)
    return known.exit_code


def reported_internal(error: Exception, environ: Mapping[str, str]) -> int:
    """One line with the place; the traceback goes to the log, or to the terminal when DEBUG is asked for."""
    leaf: BaseException = error
    while isinstance(leaf, BaseExceptionGroup):
        leaf = leaf.exceptions[0]
    frames = traceback.extract_tb(leaf.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    hint = "please report it with the traceback (in the log files; here with DYNAMIRROR_LOG_LEVEL=DEBUG)"
    from dynamirror.engines.ending import traceback_told

    if not traceback_told(error) and environ.get("DYNAMIRROR_LOG_LEVEL", "").upper() == "DEBUG":
        click.echo("".join(traceback.format_exception(error)), err=True)
    _end(f"internal error{place}: {type(leaf).__name__}: {leaf}; {hint}", ExitCode.INTERNAL)
    return ExitCode.INTERNAL


def known_error(error: BaseException) -> DynamirrorError | None:
    """The first error of ours, also inside the groups that task groups raise."""
    if isinstance(error, DynamirrorError):
        return error
    if isinstance(error, BaseExceptionGroup):
        return next((known for inner in error.exceptions if (known := known_error(inner))), None)
    return None


def _end(message: str, exit_code: int) -> None:
    """Into the logs, where they have been set up, and once on the terminal."""
    from dynamirror.engines.ending import told, without_secrets

    line = without_secrets(" ".join(message.split()))
    if not told(line, exit_code):
        _say(line)


def _say(message: str) -> None:
    click.echo(f"dynamirror: {' '.join(message.split())}", err=True)


def _usage_line(error: click.ClickException) -> str:
    """click's message with a near match for an unknown word, and where to look."""
    ctx = error.ctx if isinstance(error, click.UsageError) else None
    message = error.format_message().rstrip(".")
    if isinstance(error, click.NoSuchOption):
        message = f"no such flag: {error.option_name}"
        if near := _near(error.option_name, ctx):
            message += f"; did you mean {near}?"
    message = message[:1].lower() + message[1:]
    return f"{message} (see {ctx.command_path if ctx else 'dynamirror'} --help)"


def _near(name: str, ctx: click.Context | None) -> str | None:
    """The flag most like `name`: as it stands, else whatever the case and the dashes."""
    spellings = [name for param in ctx.command.get_params(ctx) for name in param.opts] if ctx else []
    if close := get_close_matches(name, spellings, n=1, cutoff=0.8):
        return close[0]
    bare = {_bare(spelling): spelling for spelling in reversed(spellings)}
    found = get_close_matches(_bare(name), bare, n=1, cutoff=0.7)
    return bare[found[0]] if found else None


def _bare(name: str) -> str:
    return name.replace("-", "").lower()
