"""The checks bite: each mutant of the production code is caught within 200 seeds."""

import re

import pytest

from tests.sim.mutants import MUTANTS
from tests.sim.play import run
from tests.sim.pool import pool

SEEDS_MAX = 200
BROKEN_PATCH = re.compile("TypeError|AttributeError|NameError|UnboundLocalError")


def seeds_needed(index: int) -> tuple[str, int | None, str]:
    """The mutant's name, how many seeds it took to catch it (None: it survived), and what caught it."""
    mutant = MUTANTS[index]
    for tried, seed in enumerate([mutant.hint, *range(SEEDS_MAX)], 1):
        with mutant.enter():
            outcome = run(seed, mutant.profile)
        if outcome.failure is not None:
            return mutant.name, tried, outcome.failure
    return mutant.name, None, ""


@pytest.mark.timeout(900)
def test_every_mutant_is_caught() -> None:
    assert len(MUTANTS) >= 20
    with pool() as workers:
        results = list(workers.imap_unordered(seeds_needed, range(len(MUTANTS)), 1))
    assert [name for name, seeds, _ in results if seeds is None] == []
    # One that breaks down by itself says nothing of the checks: its patch no longer fits the code.
    assert [(name, by) for name, _, by in results if BROKEN_PATCH.search(by)] == []


def unbroken(index: int) -> str | None:
    """What fails with the mutant's profile, in the seed that catches it, and the code as it is."""
    mutant = MUTANTS[index]
    failure = run(mutant.hint, mutant.profile).failure
    return f"{mutant.name}, seed {mutant.hint}: {failure}" if failure is not None else None


@pytest.mark.timeout(900)
def test_the_profiles_of_the_mutants_are_survived_by_the_code_as_it_is() -> None:
    """Else a mutant would be caught by something else than what it breaks."""
    one_each = {repr(mutant.profile): index for index, mutant in enumerate(MUTANTS)}
    with pool() as workers:
        results = workers.map(unbroken, one_each.values(), 1)
    assert [failure for failure in results if failure is not None] == []
