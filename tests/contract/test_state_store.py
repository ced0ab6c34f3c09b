"""What every state table keeps, for one life of a task at a time."""

import asyncio
from collections.abc import Callable

from dynamirror.ports import PairAnswer, StateStore

StateOf = Callable[[str], StateStore]
SOURCE, DESTINATION = "arn:source", "arn:destination"


async def test_nobody_beats_at_first(state_of: StateOf) -> None:
    assert await state_of("one").beats() == {}


async def test_beats_are_seen_by_all_until_they_retire(state_of: StateOf) -> None:
    mine, other = state_of("one"), state_of("one")
    await mine.beat("w1", 1, {"host": "a", "version": ""})
    await mine.beat("w1", 2, {"host": "a"})
    await other.beat("w2", 9, {})
    assert await mine.beats() == await other.beats() == {"w1": 2, "w2": 9}
    await other.retire("w2")
    await other.retire("w2")
    assert await mine.beats() == {"w1": 2}


async def test_another_life_sees_none_of_it(state_of: StateOf) -> None:
    await state_of("one").beat("w1", 1, {})
    assert await state_of("two").beats() == {}
    await state_of("two").beat("w2", 1, {})
    assert await state_of("one").beats() == {"w1": 1}


async def test_the_name_stands_for_the_first_pair(state_of: StateOf) -> None:
    state = state_of("one")
    assert await state.remember_pair(SOURCE, DESTINATION) == PairAnswer(True, SOURCE, DESTINATION)
    assert await state.remember_pair(SOURCE, DESTINATION) == PairAnswer(True, SOURCE, DESTINATION)
    assert await state.remember_pair(SOURCE, "arn:other") == PairAnswer(False, SOURCE, DESTINATION)


async def test_a_restarted_task_may_go_on_with_its_pair_only(state_of: StateOf) -> None:
    await state_of("one").remember_pair(SOURCE, DESTINATION)
    again = state_of("two")
    assert await again.remember_pair("arn:other", DESTINATION) == PairAnswer(False, SOURCE, DESTINATION, current=False)
    assert (await again.remember_pair(SOURCE, DESTINATION)).ok
    assert await again.remember_pair("arn:other", DESTINATION) == PairAnswer(False, SOURCE, DESTINATION)


async def test_two_that_start_at_once_get_one_pair(state_of: StateOf) -> None:
    answers = await asyncio.gather(
        *(state_of("one").remember_pair(source, DESTINATION) for source in ("arn:1", "arn:2"))
    )
    assert sorted(answer.ok for answer in answers) == [False, True]
    assert answers[0].source_arn == answers[1].source_arn
