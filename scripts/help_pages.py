"""Writes the generated pages of docs/reference from the code: commands and flags, exit codes, figures.

`python scripts/help_pages.py` writes them, `--check` only compares and fails when a page is out of step.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from dynamirror.cli.early import INTERRUPTED
from dynamirror.cli.main import COMMANDS, cli
from dynamirror.errors import ExitCode
from dynamirror.observe.metrics import METRICS, QUANTILES, Metric
from dynamirror.observe.processes import OF_SUPERVISOR
from dynamirror.settings.flag import Flag
from dynamirror.settings.flags import FLAGS

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"
GENERATED = "<!-- Made by scripts/help_pages.py from the code. -->"

REPLICATE = """Each flag can also come from its variable; the flag wins, and an empty variable counts as not set.
The spellings of dynamodb-cross-region-library are taken as they are. `--flag value` and `--flag=value` are the same.
A duration is a number and its unit: `500ms`, `1s`, `2m`.

Without the word `replicate` (the Java tool's form) the same flags mean the same, but for three things: metrics go to
CloudWatch, unless `--dont-publish-cloudwatch` is given or the source is on this machine; the start does not check
rights; where the credentials may not use the state table, one warning is given and replication goes on without it
(not with `--copy`, nor with `--on-gap` other than `stop`)."""

EXPIRED = "or its credentials stayed expired for five minutes"
MEND = (
    "mend, start again; at the start also: it was out of reach for some seconds, start again; expired credentials: "
    "start again once they are renewed"
)
DIFFERS = (
    "the tables differ (`verify`, `demo`); not ready (`plan`); the copy is not finished, its counts do not add up, "
    "or items are parked (`copy`); stopped in order, but the copy that went on meanwhile is not proven to be whole "
    "(`replicate`); keys differ, a wait took too long, or a hook or the answer said no (`cutover`); a worker shows "
    "life (`reset --dry-run`)"
)
STATE = (
    "the lease or state table: access denied, foreign schema, or the process's own credentials stayed expired; the "
    "task is not fit for a cut-over (`cutover`): no worker shows life, it is paused, a copy goes on, a gap is open"
)
LOST = "changes were trimmed from the stream before they were read; stopped in order while such a gap is open"
CLOSE = (
    "start again, all workers, with `--on-gap continue` (then `verify --repair`, which closes the gap) or with "
    "`--on-gap reconcile`"
)
REFUSED = (
    "the destination refuses more items than may be parked (`--max-parked`); some are left (`parked retry`), or were "
    "parked anew meanwhile (`parked drop`)"
)
TABLE = (
    "mend the destination table, `dynamirror parked retry`, start again; to go on before that: start again, all "
    "workers, with a larger `--max-parked`"
)
# What each code means, and what a script around the command may do about it.
EXIT_CODES = {
    ExitCode.OK: ("as asked; `replicate` was stopped in order; the copy is over (`copy`)", "nothing"),
    ExitCode.DIFFERS: (
        DIFFERS,
        "look at what was printed; `copy` that was stopped: start again",
    ),
    ExitCode.USAGE: ("arguments or configuration; nothing was changed", "mend the command line"),
    ExitCode.SOURCE: (
        f"the source table or its stream: missing, access denied, stream off, {EXPIRED}",
        MEND,
    ),
    ExitCode.DESTINATION: (
        f"the destination table: missing, access denied, other key schema, not ready as `plan` says, {EXPIRED}",
        MEND,
    ),
    ExitCode.STATE: (STATE, MEND),
    ExitCode.GAP: (LOST, CLOSE),
    ExitCode.PARKED: (REFUSED, TABLE),
    ExitCode.INTERNAL: ("an internal error; it says where", "start again, and report it with its traceback"),
}


SERVED = """`replicate --http 127.0.0.1:9600` serves these figures at `/metrics`, in the text format of Prometheus, and
`/healthz` beside them: 200 `{"status": "healthy"}` (or `"starting"`), or 503 with
`{"status": "unhealthy", "problems": [{"shard": ..., "why": ...}], "count": ...}`. What is not healthy, and why, is in
[decision 16](../decisions/0016-metrics.md), and so is what `--publish-cloudwatch` sends to CloudWatch. From Python,
`Replication.figures()` has the counts, `Replication.health()` the problems, and `Replication.metrics` everything, in a
registry of its own of the prometheus client (`Replication.metrics.registry`). `demo` shows rate and lag.

With `--processes` each figure bears the label `process` (`"1"`, `"2"`, ...), and `/healthz` is 200 only when every
process is healthy: one that has ended, or does not answer, is a problem like any other
([decision 18](../decisions/0018-processes.md))."""

SIGNALS = """6 and 7 are the task's, not one machine's. The worker that meets the gap, or the item too many, ends;
its shards go to the others, and these end with the same code one after the other, until nobody follows the task.
Nothing is skipped, and the checkpoints stand. `status` says that no worker shows life, and with which line the last
one ended. What to do in the night is in [Running a fleet](../fleet.md#when-it-stands-still).

SIGTERM and SIGINT (Ctrl-C) stop `replicate` in order, and that is 0 (6 while a gap is open, 1 while the
copy is not proven to be whole), from the first moment on: before the start there is nothing to bring to an end, during
it nothing is left running. Another signal, a second later or more, does not wait for the order: the process ends as
after a crash, which loses nothing, and by that signal (143 or 130 in a shell).
With `--processes` they stop all workers in order, and the code is the highest of theirs; 70 where one had to be killed.
Before that a worker's 0 to 7 ends the others too, and is the code of all (after a 0 the highest of the others'). One
that a signal or an internal error (70) ended is started again, and so is one that ended with 3, 4 or 5 during its start
while another has started ([decision 18](../decisions/0018-processes.md)).
They stop `copy` in order too; that is 1 unless the copy was over, and the same command goes on with it.
`verify` keeps how far it is at a signal, and ends with 130; the same command goes on there.
`cutover` ends with 130 too; the same command, begun again, looks at what is there and goes on.
`reset` that is broken off half-way (130, or 5) says which table is deleted and which is left; the same command goes on.
`demo` ends its traffic at the first Ctrl-C, and compares; a second one, or SIGTERM, ends it at once. With `--keep`,
once it has compared, any signal ends it with what the comparison has found."""


def pages() -> dict[str, str]:
    """File name -> content."""
    return {
        "cli.md": "\n".join(_cli_page()),
        "exit-codes.md": "\n".join(_exit_code_page()),
        "metrics.md": "\n".join(_metrics_page()),
    }


def _cli_page() -> Iterator[str]:
    yield from ("# Commands and flags", "", GENERATED, "")
    yield from ("```", _help(cli, "dynamirror"), "```", "")
    yield from ("## dynamirror replicate", "")
    yield from (REPLICATE, "")
    for heading in dict.fromkeys(flag.heading for flag in FLAGS):
        yield from (f"### {heading}", "", "| flag | variable | default | meaning |", "| --- | --- | --- | --- |")
        yield from (_row(flag) for flag in FLAGS if flag.heading == heading)
        yield ""
    for name in COMMANDS:
        if name != "replicate":
            command = cli.get_command(click.Context(cli), name)
            assert command is not None
            yield from (f"## dynamirror {name}", "", "```", _help(command, f"dynamirror {name}"), "```", "")
            if isinstance(command, click.Group):
                for part, inner in command.commands.items():
                    path = f"dynamirror {name} {part}"
                    yield from (f"### {path}", "", "```", _help(inner, path), "```", "")


def _row(flag: Flag) -> str:
    names = "<br>".join(f"`{spelling}`" for spelling in flag.spellings)
    default = (
        "required" if flag.required else f"`{flag.default}`" if flag.default is not None else flag.derived or "off"
    )
    meaning = flag.help
    if flag.choices:
        meaning += f" One of {', '.join(flag.choices)}."
    return f"| {names} | `{flag.variable}` | {default} | {meaning} |"


def _exit_code_page() -> Iterator[str]:
    yield from ("# Exit codes", "", GENERATED, "", "| code | meaning | what to do |", "| --- | --- | --- |")
    for code in ExitCode:
        meaning, advice = EXIT_CODES[code]
        yield f"| {int(code)} | {meaning} | {advice} |"
    yield from (f"| {INTERRUPTED} | `demo` was ended before it had compared; another command by Ctrl-C | nothing |", "")
    yield from (SIGNALS, "")


def _metrics_page() -> Iterator[str]:
    yield from ("# Figures", "", GENERATED, "", SERVED, "", "| name | kind | meaning |", "| --- | --- | --- |")
    for metric in METRICS:
        yield f"| `{metric.exported}` | {metric.kind} | {metric.help} |"
    for _, name, text in QUANTILES:
        yield f"| `{Metric(name, 'gauge', text).exported}` | gauge | {text} |"
    for name, kind, text in OF_SUPERVISOR:
        yield f"| `{name}` | {kind} | {text} |"
    yield ""


def _help(command: click.Command, path: str) -> str:
    # A fixed width, or the page would depend on the terminal.
    context = click.Context(command, info_name=path, terminal_width=100, help_option_names=["--help", "-h"])
    return command.get_help(context)


def main(arguments: list[str]) -> int:
    """Write, or with --check compare; returns the exit code."""
    stale = [
        name
        for name, text in pages().items()
        if not (REFERENCE / name).is_file() or (REFERENCE / name).read_text(encoding="utf-8") != text
    ]
    if "--check" in arguments:
        for name in stale:
            print(f"docs/reference/{name} is out of step: run `python scripts/help_pages.py`", file=sys.stderr)
        return 1 if stale else 0
    REFERENCE.mkdir(parents=True, exist_ok=True)
    for name in stale:
        (REFERENCE / name).write_text(pages()[name], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
