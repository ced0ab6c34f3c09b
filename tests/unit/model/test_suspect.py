"""Looks at one item: no false alarm however it is written and followed, and what stays behind is always found."""

from collections.abc import Callable
from random import Random

import pytest

from dynamirror.model.suspect import LOOKS_MIN, UNSETTLED_AFTER, Suspect, Verdict

PATIENCE_S = 60.0
# What the item is at a time.
Life = Callable[[float], bytes]


def judged(there: Life, here: Life, seed: int, slow_s: float = 0.0) -> tuple[Verdict, float]:
    """The verdict, and when it came; destination and source are read 5 and 15 ms after a look begins.

    `slow_s`: each look has to wait so long, as when the tables answer with throttles.
    """
    rng = Random(seed)
    suspect = Suspect("k")
    now_s = rng.random() * 100
    begun_s = now_s
    while True:
        verdict = suspect.look(there(now_s + 0.005), here(now_s + 0.015), (now_s, now_s + 0.02), PATIENCE_S)
        if verdict is not None:
            return verdict, now_s - begun_s
        now_s += 0.02 + slow_s + suspect.pause_s(PATIENCE_S, rng.random)


def written(seed: int, every_s: float, images: list[bytes]) -> Life:
    """An item that becomes one of the images again and again, at uneven times."""

    def image(now_s: float) -> bytes:
        number = int(now_s // every_s)
        if now_s / every_s - number < Random(f"{seed}/{number}/when").random():
            number -= 1
        return Random(f"{seed}/{number}").choice(images)

    return image


def fresh(every_s: float, phase_s: float) -> Life:
    """An item that has another image every so often."""
    return lambda now_s: str(int((now_s - phase_s) // every_s)).encode()


def late(source: Life, lag_s: float) -> Life:
    return lambda now_s: source(now_s - lag_s)


@pytest.mark.parametrize("lag_s", [0.02, 0.3, 2.0, 20.0])
@pytest.mark.parametrize("every_s", [0.01, 0.3, 2.0, 20.0])
@pytest.mark.parametrize("images", [[b"a", b"b"], [b"", b"a", b"b", b"c"]], ids=["to-and-fro", "deleted-at-times"])
def test_what_replication_follows_is_never_a_difference(lag_s: float, every_s: float, images: list[bytes]) -> None:
    for seed in range(30):
        source = written(seed, every_s, images)
        assert judged(late(source, lag_s), source, seed)[0] is not Verdict.DIFFERENT


@pytest.mark.parametrize("lag_s", [0.02, 0.3, 2.0, 20.0])
@pytest.mark.parametrize("every_s", [0.01, 0.3, 2.0, 20.0])
def test_nor_is_a_counter(lag_s: float, every_s: float) -> None:
    for seed in range(20):
        source = fresh(every_s, seed * 0.37)
        assert judged(late(source, lag_s), source, seed)[0] is not Verdict.DIFFERENT


@pytest.mark.parametrize("every_s", [0.5, 2.0, 10.0])
def test_nor_an_item_that_is_always_the_other_image(every_s: float) -> None:
    """It goes to and fro exactly as fast as replication follows."""
    for seed in range(100):

        def source(now_s: float) -> bytes:
            return b"ab"[int(now_s // every_s) % 2 :][:1]

        assert judged(late(source, every_s), source, seed)[0] is not Verdict.DIFFERENT


@pytest.mark.parametrize("slow_s", [15.0, 30.0, 60.0])
def test_nor_an_item_that_few_looks_are_had_at(slow_s: float) -> None:
    for seed in range(300):
        source = written(seed, 1.0, [b"a", b"b"])
        assert judged(late(source, 1.0), source, seed, slow_s)[0] is not Verdict.DIFFERENT


def test_what_is_in_step_most_of_the_time_is_cleared_soon() -> None:
    source = fresh(1.0, 0.0)
    verdicts = [judged(late(source, 0.1), source, seed) for seed in range(50)]
    assert {verdict for verdict, _ in verdicts} == {Verdict.EQUAL}
    assert max(took_s for _, took_s in verdicts) < PATIENCE_S


@pytest.mark.parametrize("stuck", [b"", b"old"])
def test_an_item_that_stays_behind_is_found_after_the_patience(stuck: bytes) -> None:
    for seed in range(20):
        verdict, took_s = judged(lambda _: stuck, lambda _: b"new", seed)
        assert verdict is Verdict.DIFFERENT
        assert PATIENCE_S <= took_s < 1.5 * PATIENCE_S


def test_also_while_the_source_goes_on() -> None:
    for seed in range(20):
        assert judged(lambda _: b"old", fresh(0.5, 0.0), seed)[0] is Verdict.DIFFERENT


def test_an_image_that_the_source_had_long_ago_is_no_excuse() -> None:
    def source(now_s: float) -> bytes:
        return b"old" if now_s < 200 else str(int(now_s)).encode()

    def destination(now_s: float) -> bytes:
        return b"older" if now_s < 201 else b"old"

    verdicts: list[Verdict] = []
    suspect, rng, now_s = Suspect("k"), Random(1), 195.0
    while not verdicts:
        verdict = suspect.look(destination(now_s), source(now_s), (now_s, now_s), PATIENCE_S)
        verdicts += [verdict] if verdict else []
        now_s += suspect.pause_s(PATIENCE_S, rng.random)
    assert verdicts == [Verdict.DIFFERENT]
    assert now_s > 201 + PATIENCE_S


def test_a_destination_that_moves_and_is_never_the_same_is_unsettled() -> None:
    verdict, took_s = judged(fresh(0.4, 0.0), lambda now_s: b"s" + fresh(0.3, 0.0)(now_s), seed=1)
    assert verdict is Verdict.UNSETTLED
    assert took_s >= UNSETTLED_AFTER * PATIENCE_S


def test_few_looks_prove_nothing_however_long_they_take() -> None:
    suspect = Suspect("k")
    for number in range(LOOKS_MIN - 1):
        assert suspect.look(b"a", b"b", (number * 30.0, number * 30.0), PATIENCE_S) is None
    at_s = LOOKS_MIN * 30.0
    assert suspect.look(b"a", b"b", (at_s, at_s), PATIENCE_S) is Verdict.DIFFERENT


def test_looked_at_again_it_begins_anew() -> None:
    suspect = Suspect("k")
    for number in range(LOOKS_MIN):
        suspect.look(b"a", b"b", (number * 30.0, number * 30.0), PATIENCE_S)
    suspect.again()
    assert suspect.look(b"a", b"b", (1000.0, 1000.0), PATIENCE_S) is None
