"""The figures of a fleet, and of idle shards: their goals, and the tables that a reader sees."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from rich.table import Table

from bench.fleet import Joined, Rolls, TakeOver
from bench.idle import JAVA_RENEWS_EVERY_S, Idle

KILLED_S_GOAL, STOPPED_S_GOAL, STALL_P99_S_GOAL, JOINED_S_GOAL = 15.0, 2.0, 1.0, 60.0
# Of one process with so many idle shards, at the default polling.
IDLE_SHARDS, IDLE_CPU_GOAL, IDLE_RSS_MB_GOAL = 1000, 0.25, 200.0

# What is measured, its figure, its goal, and whether it was reached.
Goal = tuple[str, str, str, bool]


@dataclass(slots=True)
class FleetFigures:
    """None, or absent: not measured, or void."""

    killed: TakeOver | None = None
    stopped: TakeOver | None = None
    rolls: Rolls | None = None
    joined: Joined | None = None
    idle: list[Idle] = field(default_factory=list)

    def goals(self) -> Iterator[Goal]:
        """Only what was measured."""
        if self.killed is not None:
            yield _seconds("another worker applies, after kill -9", self.killed.max_s, KILLED_S_GOAL)
        if self.stopped is not None:
            yield _seconds("another worker applies, after SIGTERM", self.stopped.max_s, STOPPED_S_GOAL)
        if self.rolls is not None:
            yield _seconds("a shard's end to its child's first change, p99", self.rolls.p99_s, STALL_P99_S_GOAL)
        if self.joined is not None:
            shards = self.joined.shards
            yield _seconds(f"{shards:,} shards over a joining worker", self.joined.seconds, JOINED_S_GOAL)
            what = f"another worker reads {shards // 2:,} idle shards, after SIGTERM"
            yield _seconds(what, self.joined.left_s, STOPPED_S_GOAL)
        for one in self.idle:
            if one.shards == IDLE_SHARDS:
                yield from _idle_goals(one)

    def tables(self) -> Iterator[Table]:
        """For a reader."""
        if self.killed is not None and self.stopped is not None:
            table = Table("another worker applies", "p50", "at most", "shards")
            for name, one in (("after kill -9", self.killed), ("after SIGTERM", self.stopped)):
                table.add_row(name, f"{one.p50_s:.1f} s", f"{one.max_s:.1f} s", f"{one.shards}")
            yield table
        if self.rolls is not None:
            table = Table("shard rolls", "p50", "p99", "at most")
            times_s = (self.rolls.p50_s, self.rolls.p99_s, self.rolls.max_s)
            table.add_row(f"{self.rolls.rolls}", *(f"{seconds:.2f} s" for seconds in times_s))
            yield table
        if self.idle:
            yield _footprint(self.idle)


def _idle_goals(one: Idle) -> Iterator[Goal]:
    cpu, rss = one.cpu_share, one.rss_max_mb
    what = f"{one.shards:,} idle shards" + (f", {one.ended * one.shards:,} ended" if one.ended else "")
    if one.idle_poll_s == 1.0:
        yield f"{what}, CPU", f"{cpu:.0%} of a core", f"<= {IDLE_CPU_GOAL:.0%}", cpu <= IDLE_CPU_GOAL
        yield f"{what}, memory", f"{rss:.0f} MB", f"<= {IDLE_RSS_MB_GOAL:.0f} MB", rss <= IDLE_RSS_MB_GOAL
        ours, java = one.lease_writes_a_minute, one.java_writes_a_minute
        yield (
            f"{what}, lease writes a minute (Java: each {JAVA_RENEWS_EVERY_S} s)",
            f"{ours:,.0f}",
            f"<= {java:,.0f}",
            ours <= java,
        )


def _footprint(idle: list[Idle]) -> Table:
    table = Table("idle shards", *(f"{one.shards:,}" for one in idle))
    table.add_row("rows of shards that have ended", *(f"{one.ended * one.shards:,}" for one in idle))
    table.add_row("polled every", *(f"{one.idle_poll_s:g} s" for one in idle))
    table.add_row("CPU, of a core", *(f"{one.cpu_share:.1%}" for one in idle))
    table.add_row("memory", *(f"{one.rss_mb:.0f} MB" for one in idle))
    table.add_row("requests/s", *(f"{one.requests_a_second:,.0f}" for one in idle))
    table.add_row("  of them GetRecords", *(f"{one.reads_a_second:,.0f}" for one in idle))
    table.add_row("received, sent", *(f"{one.in_kb_a_second:,.0f}, {one.out_kb_a_second:,.0f} KB/s" for one in idle))
    table.add_row("connections", *(f"{one.connections}" for one in idle))
    table.add_row("writes a minute, leases", *(f"{one.lease_writes_a_minute:,.0f}" for one in idle))
    table.add_row("  by calculation, the Java tool", *(f"{one.java_writes_a_minute:,.0f}" for one in idle))
    table.add_row("writes a minute, state", *(f"{one.state_writes_a_minute:,.0f}" for one in idle))
    table.add_row("write units an hour", *(f"{one.write_units_an_hour:,.0f}" for one in idle))
    table.add_row("the stand-in's core busy", *(f"{one.standin_busy:.0%}" for one in idle))
    return table


def _seconds(what: str, seconds: float, goal_s: float) -> Goal:
    return what, f"{seconds:.2f} s", f"<= {goal_s:.0f} s", seconds <= goal_s
