"""`make bench`: what a change costs, beside a plain boto3 loop, and how late it arrives. `--json` for the facts."""

import argparse
import asyncio
import json
import platform
import sys
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.lag import SteadyLag, steady_lag
from bench.micro import Micro, micro
from bench.throughput import Throughput, Void, boto3_loop, dynamirror
from dynamirror import __version__
from tests.support.dynamodb_local import Unavailable

CPU_US_GOAL, RATIO_GOAL, RSS_MB_GOAL, LAG_P50_MS_GOAL = 20.0, 8.0, 150.0, 150.0


@dataclass(frozen=True, slots=True)
class Report:
    """All figures of one run. `void` says why a figure is missing."""

    ours: Throughput | None
    boto3: Throughput | None
    lag: SteadyLag | None
    micro: list[Micro]
    void: list[str]

    @property
    def ratio(self) -> float | None:
        """How many times the changes of the boto3 loop for the same CPU."""
        if self.ours is None or self.boto3 is None:
            return None
        return self.boto3.cpu_us_a_change / self.ours.cpu_us_a_change

    def goals(self) -> list[tuple[str, str, str, bool]]:
        """What is measured, its figure, its goal, and whether it was reached; only what was measured."""
        rows = []
        if self.ours is not None:
            cpu, rss = self.ours.cpu_us_a_change, self.ours.rss_max_mb
            rows.append(("CPU a change", f"{cpu:.1f} us", f"<= {CPU_US_GOAL:.0f} us", cpu <= CPU_US_GOAL))
            rows.append(("peak memory", f"{rss:.0f} MB", f"<= {RSS_MB_GOAL:.0f} MB", rss <= RSS_MB_GOAL))
        if self.ratio is not None:
            rows.append(("boto3 loop's CPU", f"{self.ratio:.1f} x", f">= {RATIO_GOAL:.0f} x", self.ratio >= RATIO_GOAL))
        if self.lag is not None:
            p50 = self.lag.p50_ms
            rows.append(("lag, p50", f"{p50:.0f} ms", f"<= {LAG_P50_MS_GOAL:.0f} ms", p50 <= LAG_P50_MS_GOAL))
        return rows

    def as_json(self) -> dict[str, Any]:
        """For a script."""
        return {
            "version": __version__,
            "python": platform.python_version(),
            "machine": platform.machine(),
            "system": platform.system(),
            **asdict(self),
            "ratio": self.ratio,
            "goals_reached": all(reached for *_, reached in self.goals()) and not self.void,
        }


async def measure(changes: int, rounds: int, seconds: float) -> Report:
    """Everything, one thing after the other."""
    void: list[str] = []
    ours = loop = lag = None
    try:
        ours = await dynamirror(changes, rounds)
        # The loop takes ten times as long for the same; its cost a change does not depend on their number.
        loop = await boto3_loop(changes // 10, rounds)
    except Void as why:
        void.append(f"throughput: {why}")
    try:
        lag = await steady_lag(100, seconds)
    except Unavailable as why:
        void.append(f"lag: {why}")
    return Report(ours, loop, lag, micro(), void)


def show(report: Report, console: Console) -> None:
    """Tables for a reader."""
    console.print(_throughput(report))
    if (lag := report.lag) is not None:
        console.print(
            f"Lag on {lag.database} at {lag.changes_a_second:.0f} changes/s for {lag.seconds:.0f} s: "
            f"p50 {lag.p50_ms:.0f} ms, p99 {lag.p99_ms:.0f} ms ({lag.samples} samples)",
            highlight=False,
        )
    parts = Table("part of the way", "cost a change")
    for part in report.micro:
        parts.add_row(part.name, f"{part.us_a_change:.2f} us")
    console.print(parts)
    goals = Table("goal", "measured", "wanted", "")
    for name, measured, wanted, reached in report.goals():
        goals.add_row(name, measured, wanted, "reached" if reached else "MISSED")
    console.print(goals)
    for why in report.void:
        console.print(f"void: {why}", highlight=False, soft_wrap=True)


def _throughput(report: Report) -> Table:
    both = [one for one in (report.ours, report.boto3) if one is not None]
    table = Table("1 KB items", *(one.name for one in both), "ratio")
    ratio = "" if report.ratio is None else f"{report.ratio:.1f}"
    table.add_row("CPU a change", *(f"{one.cpu_us_a_change:.1f} us" for one in both), ratio)
    table.add_row("changes/s on one core", *(f"{one.changes_a_core_second:,.0f}" for one in both), ratio)
    table.add_row("changes/s, as it ran", *(f"{one.changes_a_second:,.0f}" for one in both), "")
    table.add_row("peak memory", *(f"{one.rss_max_mb:.0f} MB" for one in both), "")
    table.add_row("  of it at rest", *(f"{one.rss_idle_mb:.0f} MB" for one in both), "")
    table.add_row("CPU of start and end", *(f"{one.start_up_cpu_s:.2f} s" for one in both), "")
    table.add_row("its core busy", *(f"{one.busy:.0%}" for one in both), "")
    table.add_row("the stand-in's core busy", *(f"{one.standin_busy:.0%}" for one in both), "")
    table.add_row("changes", *(f"{one.changes:,}" for one in both), "")
    return table


def main() -> int:
    """Exit code 1 when a figure is void or a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the facts as JSON")
    parser.add_argument("--changes", type=int, default=100_000, help="changes of a throughput run")
    parser.add_argument("--rounds", type=int, default=3, help="throughput runs, the best of which counts")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of the lag run")
    options = parser.parse_args()
    report = asyncio.run(measure(options.changes, options.rounds, options.seconds))
    facts = report.as_json()
    if options.json:
        print(json.dumps(facts, indent=2))
    else:
        show(report, Console())
    return 0 if facts["goals_reached"] else 1


if __name__ == "__main__":
    sys.exit(main())
