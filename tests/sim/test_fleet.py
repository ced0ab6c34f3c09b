"""Fleets of production code under all faults: every seed must keep every promise."""

import pytest

from tests.sim.many import FAULTS, SITUATIONS, many, shortfalls
from tests.sim.mutants.base import GAPS, JAVA
from tests.sim.play import run

# What has to have happened in fleets with workers of both kinds, some time.
BESIDE_JAVA = ("taken by Java", "stolen", "kill of Java", "row deleted by Java", "second sending")


@pytest.mark.timeout(900)
def test_300_seeds() -> None:
    failed, counts = many(range(300))
    assert failed == []
    assert not [name for name in (*FAULTS, *SITUATIONS) if counts[name] == 0]


@pytest.mark.timeout(600)
def test_8_seeds_beside_java() -> None:
    failed, counts = many(range(8), chunk=1, profile=JAVA)
    assert failed == []
    assert not [name for name in BESIDE_JAVA if counts[name] == 0]


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_150_seeds_beside_java() -> None:
    failed, counts = many(range(10_000, 10_150), chunk=1, profile=JAVA)
    assert failed == []
    assert not [name for name in BESIDE_JAVA if counts[name] < 50]
    print(f"{counts['beyond mending']} items beyond mending; {dict(counts)}")


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_2000_seeds() -> None:
    failed, counts = many(range(10_000, 12_000))
    assert failed == []
    assert shortfalls(counts) == []


def test_one_seed_is_one_run() -> None:
    first, second = run(7), run(7)
    assert first.counts == second.counts
    assert first.counts["applied changes"] > 0


@pytest.mark.timeout(600)
def test_gaps_that_are_noted_and_passed() -> None:
    """Nobody reads for longer than the stream keeps changes, again and again; each gap is mended as it is noted."""
    failed, counts = many(range(12), chunk=1, profile=GAPS)
    assert failed == []
    assert counts["gap"] >= 20


@pytest.mark.parametrize(
    "seed",
    [
        # A take of one's own row that did not land made its predecessor unknown: five minutes of waiting.
        400_827,
        401_074,
        # Two workers without a state table took the same closed shard from each other, over and over.
        830_021,
        # Heartbeats were read, then one wrote its first and took a lease, then the leases were read: it was robbed.
        840_464,
    ],
)
def test_seeds_that_failed_once(seed: int) -> None:
    assert run(seed).failure is None
