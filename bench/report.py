"""All figures of a run of `make bench`, the goals, and the tables that a reader sees."""

import platform
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.fleet_report import FleetFigures, Goal
from bench.lag import SteadyLag
from bench.micro import Micro
from bench.throughput import Throughput
from dynamirror import __version__

CPU_US_GOAL, RATIO_GOAL, LAG_P50_MS_GOAL = 20.0, 8.0, 150.0
RSS_MB_GOAL, COPY_RSS_MB_GOAL = 150.0, 200.0


@dataclass(frozen=True, slots=True)
class Compared:
    """dynamirror beside the boto3 loop, of 1 KB each; None: void."""

    ours: Throughput | None = None
    boto3: Throughput | None = None

    @property
    def both(self) -> list[Throughput]:
        """Those that stand."""
        return [one for one in (self.ours, self.boto3) if one is not None]

    @property
    def ratio(self) -> float | None:
        """How many times as much as the boto3 loop for the same CPU."""
        if self.ours is None or self.boto3 is None:
            return None
        return self.boto3.cpu_us_each / self.ours.cpu_us_each

    def goals(self, each: str, rss_mb_goal: float) -> list[Goal]:
        """`each`: "change" or "item"."""
        rows = []
        if self.ours is not None:
            cpu = self.ours.cpu_us_each
            rows.append((f"CPU, 1 KB {each}s", f"{cpu:.1f} us", f"<= {CPU_US_GOAL:.0f} us", cpu <= CPU_US_GOAL))
            rows.append(_memory(f"1 KB {each}s", self.ours, rss_mb_goal))
        if self.ratio is not None:
            wanted = f">= {RATIO_GOAL:.0f} x"
            rows.append((f"boto3 loop's CPU, {each}s", f"{self.ratio:.1f} x", wanted, self.ratio >= RATIO_GOAL))
        return rows


@dataclass(frozen=True, slots=True)
class Report:
    """All figures of one run. `void` says why a figure is missing."""

    changes: Compared
    copy: Compared
    # Of items of 400 KB.
    large_copy: Throughput | None
    lag: SteadyLag | None
    fleet: FleetFigures
    micro: list[Micro]
    void: list[str]

    def goals(self) -> list[Goal]:
        """Only what was measured."""
        rows = self.changes.goals("change", RSS_MB_GOAL) + self.copy.goals("item", COPY_RSS_MB_GOAL)
        if self.large_copy is not None:
            rows.append(_memory("400 KB items", self.large_copy, COPY_RSS_MB_GOAL))
        if self.lag is not None:
            p50 = self.lag.p50_ms
            rows.append(("lag, p50", f"{p50:.0f} ms", f"<= {LAG_P50_MS_GOAL:.0f} ms", p50 <= LAG_P50_MS_GOAL))
        return [*rows, *self.fleet.goals()]

    def as_json(self) -> dict[str, Any]:
        """For a script."""
        return {
            "version": __version__,
            "python": platform.python_version(),
            "machine": platform.machine(),
            "system": platform.system(),
            **asdict(self),
            "ratio": {"changes": self.changes.ratio, "copy": self.copy.ratio},
            "goals_reached": all(reached for *_, reached in self.goals()) and not self.void,
        }


def show(report: Report, console: Console) -> None:
    """Tables for a reader."""
    if report.changes.both:
        console.print(_throughput("changes", "1 KB changes", report.changes))
    if report.copy.both:
        console.print(_throughput("items", "a copy, 1 KB items", report.copy))
    if report.large_copy is not None:
        console.print(_throughput("items", "a copy, 400 KB items", Compared(report.large_copy)))
    if (lag := report.lag) is not None:
        console.print(
            f"Lag on {lag.database} at {lag.changes_a_second:.0f} changes/s for {lag.seconds:.0f} s: "
            f"p50 {lag.p50_ms:.0f} ms, p99 {lag.p99_ms:.0f} ms ({lag.samples} samples)",
            highlight=False,
        )
    for table in report.fleet.tables():
        console.print(table)
    parts = Table("part of the way", "cost of each")
    for part in report.micro:
        parts.add_row(part.name, f"{part.us_each:.2f} us")
    console.print(parts)
    goals = Table("goal", "measured", "wanted", "")
    for name, measured, wanted, reached in report.goals():
        goals.add_row(name, measured, wanted, "reached" if reached else "MISSED")
    console.print(goals)
    for why in report.void:
        console.print(f"void: {why}", highlight=False, soft_wrap=True)


def _memory(of: str, one: Throughput, goal_mb: float) -> Goal:
    rss = one.rss_max_mb
    return f"peak memory, {of}", f"{rss:.0f} MB", f"<= {goal_mb:.0f} MB", rss <= goal_mb


def _throughput(what: str, title: str, compared: Compared) -> Table:
    both = compared.both
    table = Table(title, *(one.name for one in both), "ratio")
    ratio = "" if compared.ratio is None else f"{compared.ratio:.1f}"
    table.add_row("CPU of each", *(f"{one.cpu_us_each:,.1f} us" for one in both), ratio)
    table.add_row(f"{what}/s on one core", *(f"{one.each_core_second:,.0f}" for one in both), ratio)
    table.add_row(f"{what}/s, as it ran", *(f"{one.each_second:,.0f}" for one in both), "")
    table.add_row("peak memory", *(f"{one.rss_max_mb:.0f} MB" for one in both), "")
    table.add_row("  of it with next to nothing to do", *(f"{one.rss_idle_mb:.0f} MB" for one in both), "")
    table.add_row("CPU of start, waiting and end", *(f"{one.start_up_cpu_s:.2f} s" for one in both), "")
    table.add_row("its core busy", *(f"{one.busy:.0%}" for one in both), "")
    table.add_row("the stand-in's core busy", *(f"{one.standin_busy:.0%}" for one in both), "")
    table.add_row(what, *(f"{one.load.count:,}" for one in both), "")
    return table
