"""`make bench`: what a change, and a copied item, costs, beside plain boto3 loops; how late a change arrives; what a
fleet does when workers come and go; what idle shards cost.

`--json` for the facts.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console

from bench.fleet import joined, rolls, take_overs
from bench.fleet_report import FleetFigures
from bench.idle import idle
from bench.lag import SteadyLag, steady_lag
from bench.load import Load
from bench.micro import micro
from bench.report import Compared, Report, show
from bench.throughput import Throughput, Void, boto3_loop, dynamirror
from tests.support.dynamodb_local import Unavailable

PARTS = ("changes", "copy", "lag", "fleet", "idle")
# With generations that have ended, as a table has whose shards roll every four hours. Each takes two minutes and more.
IDLE_SHARDS = ((1, 0), (100, 0), (1000, 0), (1000, 6))
LARGE_ITEM_BYTES = 400 * 1024
# As many bytes as some hundred thousand small items.
LARGE_ITEMS = 1000
# The loops take ten times as long for the same; what they cost does not depend on the number.
LOOP_COUNT_MAX = 10_000


async def measure(parts: Sequence[str], count: int, rounds: int, seconds: float) -> Report:
    """One thing after the other."""
    void: list[str] = []
    changes, copy, large = Compared(), Compared(), None
    lag = None
    if "changes" in parts:
        changes = await _compared(Load(changes=count), rounds, void)
    if "copy" in parts:
        # Twice as many: what a copy costs that has nothing to do, which is taken off, is more.
        copy = await _compared(Load(items=2 * count), rounds, void)
        large = await _large(void)
    if "lag" in parts:
        lag = await _lag(seconds, void)
    figures = FleetFigures()
    if "fleet" in parts:
        await _fleet(figures, void)
    if "idle" in parts:
        for shards, ended in IDLE_SHARDS:
            with _noted(f"{shards:,} idle shards", void):
                figures.idle.append(await idle(shards, ended=ended))
    return Report(changes, copy, large, lag, figures, micro(), void)


async def _fleet(figures: FleetFigures, void: list[str]) -> None:
    with _noted("workers that end", void):
        figures.killed, figures.stopped = await take_overs()
    with _noted("shards that roll", void):
        figures.rolls = await rolls()
    with _noted("a worker that joins", void):
        figures.joined = await joined()


@contextmanager
def _noted(what: str, void: list[str]) -> Iterator[None]:
    try:
        yield
    except Void as why:
        void.append(f"{what}: {why}")


async def _compared(load: Load, rounds: int, void: list[str]) -> Compared:
    ours = loop = None
    try:
        ours = await dynamirror(load, rounds)
        loop = await boto3_loop(load.less(min(LOOP_COUNT_MAX, load.count // 10)), rounds)
    except Void as why:
        void.append(f"{load}: {why}")
    return Compared(ours, loop)


async def _large(void: list[str]) -> Throughput | None:
    """One round: its memory is what is wanted."""
    try:
        return await dynamirror(Load(items=LARGE_ITEMS, item_bytes=LARGE_ITEM_BYTES), 1)
    except Void as why:
        void.append(f"large items: {why}")
        return None


async def _lag(seconds: float, void: list[str]) -> SteadyLag | None:
    try:
        return await steady_lag(100, seconds)
    except Unavailable as why:
        void.append(f"lag: {why}")
        return None


def main() -> int:
    """Exit code 1 when a figure is void or a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the facts as JSON")
    parser.add_argument("--only", choices=PARTS, action="append", help="measure this part (may be repeated)")
    parser.add_argument("--count", type=int, default=100_000, help="changes, and items, of a throughput run")
    parser.add_argument("--rounds", type=int, default=3, help="throughput runs, the best of which counts")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of the lag run")
    options = parser.parse_args()
    report = asyncio.run(measure(options.only or PARTS, options.count, options.rounds, options.seconds))
    facts = report.as_json()
    if options.json:
        print(json.dumps(facts, indent=2))
    else:
        show(report, Console())
    return 0 if facts["goals_reached"] else 1


if __name__ == "__main__":
    sys.exit(main())
