"""The demo on a terminal: a live table where there is one, a line every two seconds where there is not, or JSON."""

from contextlib import AbstractContextManager, nullcontext
from typing import TextIO

import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from dynamirror.engines.demo.facts import DESTINATION_REGION, SOURCE_REGION, TABLE, Progress, Result
from dynamirror.engines.demo.lag import Lag
from dynamirror.engines.demo.look_around import commands

_LIVE_EVERY_S = 0.2
_LINE_EVERY_S = 2.0


class Screen:
    """Prints to `output`; `seconds` is how long traffic will be written."""

    def __init__(self, output: TextIO, seconds: float, as_json: bool) -> None:
        self._console = console = Console(file=output)
        self._seconds = seconds
        self._as_json = as_json
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal and not as_json else None
        self.every_s = _LINE_EVERY_S if self._live is None else _LIVE_EVERY_S

    def opening(self, database: str, endpoint: str, note: str) -> None:
        """What is about to happen, and where. `note`: what the user should know of the database."""
        self._print(
            Text.assemble(("dynamirror demo", "bold"), f" on {database}, in memory, at {endpoint}"),
            f"Live traffic to {TABLE} in {SOURCE_REGION}, replicated to {TABLE} in {DESTINATION_REGION}, "
            f"for {self._seconds:g} s. Ctrl-C ends it sooner, and compares.",
            *([note] if note else []),
            "",
        )

    def running(self) -> AbstractContextManager[object]:
        """While this is open, `progress` may be called."""
        return self._live or nullcontext()

    def progress(self, now: Progress) -> None:
        """See play.Show."""
        if self._as_json:
            return
        if self._live is not None:
            self._live.update(_table(now, self._seconds), refresh=True)
        else:
            self._console.print(_line(now), highlight=False, soft_wrap=True)

    def result(self, result: Result) -> None:
        """The verdict, the figures behind it, and what to try next."""
        if self._as_json:
            self._console.print(msgspec.json.encode(result.as_json()).decode(), highlight=False, soft_wrap=True)
            return
        self._print("", *_verdict(result), "")

    def next_steps(self) -> None:
        """What to try after it."""
        self._print(
            Text("Next", style="bold"),
            "  dynamirror demo --rate 500 --seconds 10      more traffic",
            "  dynamirror demo --keep                       leave it running and look around",
            "  dynamirror replicate --help                  the same for tables of your own",
        )

    def look_around(self, endpoint: str) -> None:
        """The commands for another terminal."""
        self._print(Text("It goes on replicating until Ctrl-C. In another terminal:", style="bold"))
        self._print(*(f"  {command}" for command in commands(endpoint)))

    def note(self, text: str) -> None:
        """One line beside the story."""
        self._print(text)

    def _print(self, *lines: str | Text) -> None:
        if not self._as_json:
            for line in lines:
                # Commands are made to be copied: never broken into lines by us.
                self._console.print(line, highlight=False, soft_wrap=True, markup=False)


def _table(now: Progress, seconds: float) -> Group:
    rows = Table.grid(padding=(0, 3))
    rows.add_column(style="dim")
    rows.add_column(justify="right", min_width=9)
    rows.add_column(style="dim")
    written = now.written
    rows.add_row(
        "written to the source",
        f"{written.total:,}",
        f"{written.inserts:,} inserts, {written.updates:,} updates, {written.deletes:,} deletes",
    )
    rows.add_row("read from its stream", f"{now.read:,}", f"{now.rate:,.0f} changes/s")
    rows.add_row("applied to the copy", f"{now.applied:,}", "of several changes of one item, the newest")
    rows.add_row("lag", "-" if now.lag is None else f"{now.lag.p50_ms:,.0f} ms", _lag_details(now.lag))
    rows.add_row("shards followed", str(now.leases), "")
    done_s = min(now.elapsed_s, seconds)
    phase = Text.assemble((f"{now.phase}, ", "bold"), f"{now.elapsed_s:.0f} s of {seconds:g} s")
    below = Table.grid(padding=(0, 2))
    below.add_row(ProgressBar(total=seconds, completed=done_s, width=40), phase)
    return Group(rows, "", below)


def _lag_details(lag: Lag | None) -> str:
    return "" if lag is None else f"half of the changes; 99 of 100 within {lag.p99_ms:,.0f} ms"


def _line(now: Progress) -> str:
    return (
        f"{now.elapsed_s:5.0f} s  {now.phase}: written {now.written.total:,}  read {now.read:,}  "
        f"applied {now.applied:,}  {now.rate:,.0f}/s  lag {_lag(now.lag)}  shards {now.leases}"
    )


def _lag(lag: Lag | None) -> str:
    return "-" if lag is None else f"p50 {lag.p50_ms:,.0f} ms, p99 {lag.p99_ms:,.0f} ms"


def _verdict(result: Result) -> list[str | Text]:
    compared, progress, written = result.comparison, result.progress, result.progress.written
    if compared.equal:
        head = Text.assemble(("✓ Equal", "bold green"), f": {compared.source_items:,} items, compared one by one")
    else:
        head = Text.assemble(
            ("✗ Different", "bold red"),
            f": {compared.missing:,} missing at the destination, {compared.extra:,} only there, "
            f"{compared.changed:,} not the same ({compared.source_items:,} items at the source)",
        )
    superseded = max(0, progress.read - progress.applied)
    pace = written.total / result.seconds if result.seconds else 0.0
    counts = f"{written.inserts:,} inserts, {written.updates:,} updates, {written.deletes:,} deletes"
    return [
        head,
        *(f"    {difference}" for difference in compared.first),
        f"  written     {written.total:,} changes in {result.seconds:.0f} s ({pace:,.0f}/s): {counts}",
        f"  applied     {progress.applied:,}; {superseded:,} more were replaced by a newer change of the same item",
        f"  lag         {_lag(progress.lag)}, from a write's answer to its sight at the destination",
        f"  caught up   {result.caught_up_s * 1000:,.0f} ms after the last write",
    ]
