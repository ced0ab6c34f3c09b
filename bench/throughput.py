"""CPU, speed and memory of the real command and of a boto3 loop, against the stand-in.

A stream is followed, or a table copied.
"""

import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from bench.load import Load
from bench.pages import DESTINATION, SOURCE
from bench.process import Cost, Place, counts_when, measured, replicate, standin
from dynamirror.engines.embedded import ministack, started

# Above this the stand-in may have been what was measured.
STANDIN_BUSY_MAX = 0.70
# What a process costs that has next to nothing to do: its start and its end, and what a copy waits before it reads.
_START_UP_COUNT = 16
_TIMEOUT_S = 300.0


class Void(Exception):
    """The figure does not stand; the message says why."""


@dataclass(frozen=True, slots=True)
class Throughput:
    """Of one program, by change or by item. CPU is without its start and end, which are told apart."""

    name: str
    load: Load
    cpu_us_each: float
    # By the clock on the wall; a machine that does other things meanwhile lowers it.
    each_second: float
    rss_max_mb: float
    # Peak of a process that had next to nothing to do.
    rss_idle_mb: float
    start_up_cpu_s: float
    # Shares of a core between the first page and the last key: the program's own, and the stand-in's.
    busy: float
    standin_busy: float
    requests: dict[str, int]

    @property
    def each_core_second(self) -> float:
        """What one core does that has nothing else to do."""
        return 1e6 / self.cpu_us_each


async def dynamirror(load: Load, rounds: int) -> Throughput:
    """The real command, one process. Leases and state are on MiniStack, whose cost is not counted."""

    async def run(load: Load) -> tuple[Cost, dict[str, Any]]:
        async with started(ministack()) as state:
            return await _run(load, lambda url: on_standin(url, state.endpoint, load))

    return await _best("dynamirror", run, load, rounds)


async def boto3_loop(load: Load, rounds: int) -> Throughput:
    """The plain loop, one process."""
    module = "bench.boto3_copy" if load.items else "bench.boto3_loop"

    async def run(load: Load) -> tuple[Cost, dict[str, Any]]:
        return await _run(load, lambda url: [sys.executable, "-m", module, url])

    return await _best("boto3 loop", run, load, rounds)


async def _best(
    name: str, run: Callable[[Load], Awaitable[tuple[Cost, dict[str, Any]]]], load: Load, rounds: int
) -> Throughput:
    """The round with the least CPU: whatever else the machine does only adds to it. Memory: the most of all."""
    start_up, _ = await run(load.less(_START_UP_COUNT))
    figures = [
        _figure(name, load, (start_up, cost), counts) for cost, counts in [await run(load) for _ in range(rounds)]
    ]
    best = min(figures, key=lambda figure: figure.cpu_us_each)
    return replace(best, rss_max_mb=max(figure.rss_max_mb for figure in figures))


def on_standin(endpoint: str, state_endpoint: str, load: Load) -> list[str]:
    """The real command line between the stand-in's two tables."""
    source, destination = (Place("us-east-1", endpoint, table) for table in (SOURCE, DESTINATION))
    return replicate(source, destination, state_endpoint, *(["--copy"] if load.items else []))


async def _run(load: Load, command: Callable[[str], list[str]]) -> tuple[Cost, dict[str, Any]]:
    async with standin(load) as endpoint:
        with measured(command(endpoint)) as program:
            counts = await counts_when(
                endpoint, lambda now: now["distinct"] == load.count, lambda: program.running, _TIMEOUT_S
            )
            cost = program.end()
    if counts["distinct"] != load.count:
        raise Void(f"{counts['distinct']:,} of {load.count:,} keys arrived; the program ended with {cost.exit_code}")
    if counts["keys"] != load.count:
        raise Void(f"{counts['keys']:,} keys arrived instead of {load.count:,}: some came twice")
    if counts["unsigned"]:
        raise Void(f"{counts['unsigned']:,} requests were not signed")
    if cost.exit_code not in (0, -signal.SIGTERM):
        raise Void(f"the program ended with {cost.exit_code}")
    return cost, counts


def _figure(name: str, load: Load, costs: tuple[Cost, Cost], counts: dict[str, Any]) -> Throughput:
    start_up, cost = costs
    standin_busy = counts["cpu_s"] / counts["wall_s"]
    if standin_busy > STANDIN_BUSY_MAX:
        raise Void(f"{name}: the stand-in was {standin_busy:.0%} busy, more than {STANDIN_BUSY_MAX:.0%}")
    return Throughput(
        name=name,
        load=load,
        cpu_us_each=(cost.cpu_s - start_up.cpu_s) / (load.count - _START_UP_COUNT) * 1e6,
        each_second=load.count / counts["wall_s"],
        rss_max_mb=cost.rss_max_mb,
        rss_idle_mb=start_up.rss_max_mb,
        start_up_cpu_s=start_up.cpu_s,
        busy=(cost.cpu_s - start_up.cpu_s) / counts["wall_s"],
        standin_busy=standin_busy,
        requests=counts["requests"],
    )
