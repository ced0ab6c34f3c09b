"""Many seeds on all cores, and whether they met enough trouble."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from tests.sim.play import Outcome, run
from tests.sim.pool import pool
from tests.sim.profile import Profile

# Of a run of a thousand seeds and more: a fault that hardly struck has proven nothing.
FAULTS_MIN = 100
SITUATIONS_MIN = 20
FAULTS = (
    "throttle",
    "partial",
    "unreachable",
    "lost",
    "applied",
    "late",
    "slow",
    "slow answer",
    "credentials",
    "iterator",
    "partition source",
    "partition destination",
    "partition leases",
    "partition heartbeats",
    "partition of the table throttled",
    "reader limit",
    "kill",
    "kill at a request",
    "freeze",
    "clock step",
    "listing lags",
    "empty pages",
)
SITUATIONS = (
    "split",
    "roll",
    "take-over",
    "doubt",
    "second sending",
    "clean hand-over",
    "handed over",
    "handed over in doubt",
    "stolen",
    "frozen owner",
    "frozen at the sending",
    "late send noticed",
    "reconciled",
    "stop",
    "night",
)


def many(
    seeds: Sequence[int],
    progress: Callable[[str], None] | None = None,
    chunk: int = 5,
    profile: Profile | None = None,
) -> tuple[list[Outcome], Counter[str]]:
    """Run all seeds; the failed ones in order, and the counts of all."""
    failed: list[Outcome] = []
    counts: Counter[str] = Counter()
    with pool() as workers:
        for done, outcome in enumerate(workers.imap_unordered(partial(run, profile=profile), seeds, chunk), 1):
            counts += outcome.counts
            if outcome.failure is not None:
                failed.append(outcome)
            if progress is not None and done % 100 == 0:
                progress(f"{done} of {len(seeds)} seeds, {len(failed)} failed")
    return sorted(failed, key=lambda outcome: outcome.seed), counts


def shortfalls(counts: Counter[str]) -> list[str]:
    """Faults and situations that were too rare, one line each."""
    return [*_short(counts, FAULTS, FAULTS_MIN), *_short(counts, SITUATIONS, SITUATIONS_MIN)]


def table(counts: Counter[str]) -> str:
    """All counts, one a line."""
    return "\n".join(f"{count:9}  {name}" for name, count in sorted(counts.items()))


def _short(counts: Counter[str], names: Iterable[str], least: int) -> list[str]:
    return [f"only {counts[name]} of {name}, wanted {least}" for name in names if counts[name] < least]
