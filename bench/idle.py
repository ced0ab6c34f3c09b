"""What shards cost to which nothing happens: one process, after it has come to rest, for 84 s."""

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.fleet import START_S_MAX, Facts, fleet, spread
from bench.throughput import Void

# Four rounds of renewals (every 21 s): shards that were taken together are renewed together.
WINDOW_S = 84.0
# After the last shard was read for the first time.
REST_S = 20.0
# The Java tool renews each lease every third of its fail-over time, less the 25 ms that KCL's epsilon is.
JAVA_RENEWS_EVERY_S = 19.975
HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Idle:
    """Rates are of the window."""

    shards: int
    # Generations of shards that have ended: a lease row each, as a stream keeps them for a day.
    ended: int
    idle_poll_s: float
    cpu_share: float
    rss_mb: float
    rss_max_mb: float
    connections: int
    requests_a_second: float
    reads_a_second: float
    in_kb_a_second: float
    out_kb_a_second: float
    # UpdateItem, PutItem, DeleteItem, by table: of leases, of state.
    lease_writes_a_minute: float
    state_writes_a_minute: float
    standin_busy: float

    @property
    def java_writes_a_minute(self) -> float:
        """What the Java tool writes to the lease table for as many leases, by calculation."""
        return 60.0 / JAVA_RENEWS_EVERY_S * self.shards

    @property
    def write_units_an_hour(self) -> float:
        """Rows are below 1 KB each: a write is a unit."""
        return (self.lease_writes_a_minute + self.state_writes_a_minute) * 60.0


async def idle(shards: int, idle_poll_s: float = 1.0, ended: int = 0) -> Idle:
    """Measure it. Raises Void where the kernel does not tell a running process's CPU as Linux does."""
    async with fleet(shards, 0.0) as one:
        name = one.start(*(["--max-idle-poll", f"{idle_poll_s:g}s"] if idle_poll_s != 1.0 else []))
        await one.when(spread(1), START_S_MAX + shards / 20, f"{shards} shards are read")
        for _ in range(ended):
            await one.facts("roll/all")
            await one.when(spread(1), START_S_MAX + shards / 20, f"the children of {shards} shards are read")
        await asyncio.sleep(REST_S)
        process = one.workers[name]
        before, cpu_before_s = await one.facts(), _cpu_s(process.process.pid)
        await asyncio.sleep(WINDOW_S)
        after, cpu_after_s = await one.facts(), _cpu_s(process.process.pid)
        rss_mb = _rss_mb(process.process.pid)
        cost = process.end()
    if cost.exit_code != 0:
        raise Void(f"{shards} idle shards: the program ended with {cost.exit_code}")
    for_s: float = after["now_s"] - before["now_s"]

    def rate(of: str) -> float:
        return (float(after[of]) - float(before[of])) / for_s

    return Idle(
        shards,
        ended,
        idle_poll_s,
        cpu_share=(cpu_after_s - cpu_before_s) / for_s,
        rss_mb=rss_mb,
        rss_max_mb=cost.rss_max_mb,
        connections=after["connections"],
        requests_a_second=(_sum(after, "requests") - _sum(before, "requests")) / for_s,
        reads_a_second=(_sum(after, "requests", "GetRecords") - _sum(before, "requests", "GetRecords")) / for_s,
        in_kb_a_second=rate("bytes_out") / 1024,
        out_kb_a_second=rate("bytes_in") / 1024,
        lease_writes_a_minute=(_writes(after, False) - _writes(before, False)) / for_s * 60,
        state_writes_a_minute=(_writes(after, True) - _writes(before, True)) / for_s * 60,
        standin_busy=rate("cpu_s"),
    )


def _sum(facts: Facts, what: str, operation: str = "") -> int:
    return sum(count for name, count in facts[what].items() if name.startswith(operation))


def _writes(facts: Facts, state: bool) -> int:
    """How many items were written to the table of leases, or of state."""
    return sum(
        count
        for name, count in facts["table_requests"].items()
        if name.split(" ")[0] in ("UpdateItem", "PutItem", "DeleteItem") and name.endswith("-state") is state
    )


def _cpu_s(pid: int) -> float:
    """User and system time so far (proc(5): fields 14 and 15)."""
    if sys.platform != "linux":
        raise Void("idle shards: a running process's CPU is read from /proc, which this system does not have")
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _rss_mb(pid: int) -> float:
    """Resident now."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024 / 1024
