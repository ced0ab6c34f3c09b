"""`dynamirror cutover`: writers move from the source to the destination, and a report says what is proven."""

import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from dynamirror.cli.early import INTERRUPTED
from dynamirror.cli.options import GroupedHelp, given_values, replication_options
from dynamirror.cli.verify import COMPARING, COMPARING_FIELDS
from dynamirror.errors import Refused
from dynamirror.settings.flag import Flag
from dynamirror.settings.parse import settings_from, values_of_variables
from dynamirror.settings.values import converted

HELP = """Move writers from the source to the destination, with proof that nothing is left behind.

Runs beside the workers of the task; of their flags give those that name tables, task and credentials. Step by step:
looks whether the task is fit (a worker shows life, it is not paused, no copy goes on, no gap is open); waits until the
lag is small; has the writers stopped (--hook-before, or asks); with --disable-stream switches the source's stream off,
and waits until every shard is applied to its end; compares the keys changed lately; writes a report; calls
--hook-after, where nothing differs. An item that is parked counts: it is compared too, and with --verify none it is
known to be missing. Each step is said. Ended at any place, the same command is simply begun again; hooks may then be
called again.

Only --disable-stream proves that nothing is left: an empty page of an open stream proves nothing. It ends the stream
for its other readers too, and the workers end by themselves when all is applied. Without it the report says that the
drain is not proven.

Hooks get DYNAMIRROR_HOOK, _SOURCE_REGION, _SOURCE_TABLE, _DESTINATION_REGION, _DESTINATION_TABLE, _STREAM_ARN, _LAG_MS;
--hook-after also _EXACT, _DIFFERING, _REPORT. What they print goes to stderr.

Exit code 0: as asked; 1: keys differ, move on at every look, or are parked with --verify none (the report is written
all the same); a wait took longer than --timeout, or a hook or the answer said no; 5: the task is not fit.
"""

EPILOG = """\b
Examples:
  dynamirror cutover --source-region us-east-1 --source-table Orders \\
      --destination-region eu-west-1 --destination-table Orders --dry-run
  dynamirror cutover ... --disable-stream --hook-before ./stop-writers.sh --hook-after ./start-writers.sh
  dynamirror cutover ... --disable-stream --writers-stopped --verify full --report cutover.json
  dynamirror cutover ... --disable-stream --prepare-reverse
"""

_DURATIONS = {
    flag.field: flag
    for flag in (
        Flag("max_lag", "", "", kind="duration", least=0.5, most=3600),
        Flag("timeout", "", "", kind="duration", least=1, most=24 * 3600),
        Flag("quiet", "", "", kind="duration", least=1, most=3600),
        Flag("since", "", "", kind="duration", least=1, most=24 * 3600),
    )
}


def _run(as_json: bool, **parameters: Any) -> int:
    own = {name: parameters.pop(name) for name in list(parameters) if name not in COMPARING_FIELDS}
    variables = {field: value for field, value in values_of_variables(os.environ).items() if field in COMPARING_FIELDS}
    settings = settings_from({**variables, **given_values(parameters)}, java_form=False, now_ms=int(time.time() * 1000))
    from dynamirror.cli import cutover_page
    from dynamirror.engines.assemble_cutover import run_cutover
    from dynamirror.engines.cutover_options import CutoverOptions
    from dynamirror.engines.launch import set_up_task_logs

    _refuse_contradictions(own)
    own |= {f"{field}_s": _seconds(flag, own.pop(field)) for field, flag in _DURATIONS.items()}
    _refuse_endless_quiet(own)
    options = CutoverOptions(**own)
    set_up_task_logs(settings, host=platform.node().partition(".")[0] or "localhost")
    result = run_cutover(settings, os.environ, options, _ask if sys.stdin.isatty() else None)
    if result is None:
        click.echo("dynamirror: ended before its end; what was done is said above, the same command goes on", err=True)
        return INTERRUPTED
    click.echo(cutover_page.as_json(result) if as_json else cutover_page.as_text(result))
    sys.stdout.flush()
    return result.exit_code


def _refuse_contradictions(own: dict[str, Any]) -> None:
    """Before anything is asked for. Raises Refused."""
    for hook in ("hook_before", "hook_after"):
        if own[hook] is not None and not own[hook].strip():
            raise Refused(f"--{hook.replace('_', '-')} is empty: give a command, or leave it out")
    if own["hook_before"] is not None and own["writers_stopped"]:
        raise Refused(
            "--hook-before and --writers-stopped exclude each other: either the hook stops the writers or you"
        )
    told = own["hook_before"] is not None or own["writers_stopped"] or own["dry_run"]
    if not told and not sys.stdin.isatty():
        raise Refused(
            "nobody can be asked whether the writers are stopped, this is no terminal; give --hook-before COMMAND, or "
            "--writers-stopped when they are"
        )
    if own["disable_stream"] and _given("quiet"):
        raise Refused("--quiet and --disable-stream exclude each other: a closed stream is drained to its end")
    if own["verify"] != "recent" and _given("since"):
        raise Refused(
            f"--since and --verify {own['verify']} exclude each other: --since is for the keys changed lately"
        )
    if not own["dry_run"]:
        _refuse_report(own["report"])


def _refuse_endless_quiet(own: dict[str, Any]) -> None:
    """Raises Refused where the wait for a quiet stream would always be cut off."""
    quiet_s, timeout_s = own["quiet_s"], own["timeout_s"]
    if not (own["disable_stream"] or own["dry_run"]) and quiet_s >= timeout_s:
        raise Refused(
            f"--quiet {quiet_s:g}s is not shorter than --timeout {timeout_s:g}s, which would end the cut-over before; "
            "give a longer --timeout, or a shorter --quiet"
        )


def _refuse_report(report: Path | None) -> None:
    """Not at the end, when the writers are stopped and the stream is off. Raises Refused."""
    folder = report.absolute().parent if report is not None else Path.cwd()
    what = f"--report {report}" if report is not None else "the report goes to the working directory without --report"
    if not folder.is_dir():
        raise Refused(f"{what}: there is no directory {folder}; give a file in one")
    existing = report is not None and report.exists()
    place = report if report is not None and existing else folder
    if not os.access(place, os.W_OK):
        raise Refused(f"{what}: {place} cannot be written; give --report FILE where it can")


def _given(name: str) -> bool:
    source = click.get_current_context().get_parameter_source(name)
    return source is not ParameterSource.DEFAULT


def _seconds(flag: Flag, text: str) -> float:
    value = converted(flag, text, flag.name)
    assert isinstance(value, int | float)
    return float(value)


def _ask(question: str) -> bool:
    """Until it is yes or no; the end of the input is no."""
    while True:
        click.echo(f"{question} yes/no: ", nl=False, err=True)
        answer = sys.stdin.readline()
        if answer.strip().lower() in ("yes", "no") or not answer:
            return answer.strip().lower() == "yes"


def _duration_option(name: str, default: str, text: str) -> click.Option:
    return click.Option([name], metavar="DURATION", default=default, show_default=True, help=text)


command = GroupedHelp(
    "cutover",
    callback=_run,
    params=[
        *replication_options(COMPARING),
        _duration_option("--max-lag", "5s", "Lag up to which the writers may be stopped, seen from outside."),
        _duration_option(
            "--timeout", "10m", "How long is waited for the lag, and again for the drain; then it ends with 1."
        ),
        click.Option(
            ["--hook-before"],
            metavar="COMMAND",
            help="Shell command that stops the writers; when it does not end with 0 everything ends, and nothing was "
            "changed.",
        ),
        click.Option(
            ["--writers-stopped"],
            is_flag=True,
            help="The writers are stopped already; for where nobody can be asked.",
        ),
        click.Option(
            ["--disable-stream"],
            is_flag=True,
            help="Switch the source's stream off once the writers are stopped: only a closed stream has a proven end. "
            "Its other readers lose it; how it is switched on again is said before.",
        ),
        _duration_option(
            "--quiet", "30s", "Without --disable-stream: how long nothing may come after the writers' stop."
        ),
        click.Option(
            ["--verify"],
            type=click.Choice(["recent", "full", "none"], case_sensitive=False),
            default="recent",
            show_default=True,
            help="What is compared at the end: the keys changed lately, both tables whole, or nothing.",
        ),
        _duration_option(
            "--since",
            "15m",
            "How long before the writers' stop a key may have been changed to be compared; at most 24h. All that "
            "the stream names where it was off before.",
        ),
        click.Option(
            ["--report"],
            type=click.Path(dir_okay=False, path_type=Path),
            metavar="FILE",
            help="Where the report is written, as JSON. Default: cutover-TASK-TIME.json in the working directory.",
        ),
        click.Option(
            ["--hook-after"],
            metavar="COMMAND",
            help="Shell command that starts the writers at the destination; called when nothing differs.",
        ),
        click.Option(
            ["--prepare-reverse"],
            is_flag=True,
            help="Switch the destination's stream on before the writers are stopped, and print the command that "
            "replicates back.",
        ),
        click.Option(["--dry-run"], is_flag=True, help="Look, wait for the lag, and say the rest; change nothing."),
        click.Option(["--json", "as_json"], is_flag=True, help="The report on stdout too, instead of a page."),
    ],
    help=HELP,
    epilog=EPILOG,
)
