"""What every state table keeps, for one life of a task at a time."""

import asyncio
from collections.abc import Callable

import pytest

from dynamirror.errors import ConditionFailed
from dynamirror.model.duty import Duty
from dynamirror.model.status import WorkerSeen
from dynamirror.model.worker_row import WorkerRow
from dynamirror.state_ports import PairAnswer, StateStore

StateOf = Callable[[str], StateStore]
SOURCE, DESTINATION = "arn:source", "arn:destination"
# Verbatim: every digit, whatever the spelling.
DUTY = Duty("id/w1/1", {"pk": {"B": "AAEC/w=="}, "sk": {"N": "-12345678901234567890123456789012345678"}}, "w1")
OTHER = Duty("id/w1/2", {"pk": {"S": "x"}, "sk": {"N": "1"}}, "w1")


async def test_nobody_beats_at_first(state_of: StateOf) -> None:
    assert await state_of("one").beats() == {}


async def test_beats_are_seen_by_all_until_they_retire(state_of: StateOf) -> None:
    mine, other = state_of("one"), state_of("one")
    await mine.beat("w1", WorkerRow(1), {"host": "a", "version": ""})
    await mine.beat("w1", WorkerRow(2), {"host": "a"})
    await other.beat("w2", WorkerRow(9), {})
    assert await mine.beats() == await other.beats() == {"w1": 2, "w2": 9}
    await other.retire("w2")
    await other.retire("w2")
    assert await mine.beats() == {"w1": 2}


async def test_another_life_sees_none_of_it(state_of: StateOf) -> None:
    await state_of("one").beat("w1", WorkerRow(1), {})
    assert await state_of("two").beats() == {}
    await state_of("two").beat("w2", WorkerRow(1), {})
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


async def test_who_follows_nothing_leaves_the_pair_in_the_life_of_who_does(state_of: StateOf) -> None:
    await state_of("one").remember_pair(SOURCE, DESTINATION)
    beside = state_of("two")
    assert (await beside.remember_pair(SOURCE, DESTINATION, moves=False)).ok
    other = PairAnswer(False, SOURCE, DESTINATION, current=False)
    assert await beside.remember_pair("arn:other", DESTINATION, moves=False) == other
    assert await state_of("one").remember_pair("arn:other", DESTINATION) == PairAnswer(False, SOURCE, DESTINATION)


async def test_who_follows_nothing_may_be_the_first(state_of: StateOf) -> None:
    assert (await state_of("one").remember_pair(SOURCE, DESTINATION, moves=False)).ok
    assert not (await state_of("two").remember_pair("arn:other", DESTINATION)).ok


async def test_two_that_start_at_once_get_one_pair(state_of: StateOf) -> None:
    answers = await asyncio.gather(
        *(state_of("one").remember_pair(source, DESTINATION) for source in ("arn:1", "arn:2"))
    )
    assert sorted(answer.ok for answer in answers) == [False, True]
    assert answers[0].source_arn == answers[1].source_arn


async def test_a_duty_stays_until_it_is_removed(state_of: StateOf) -> None:
    state = state_of("one")
    assert await state.duties() == []
    for _ in range(2):
        await state.put_duty(DUTY)
    await state.put_duty(OTHER)
    assert sorted(await state_of("one").duties(), key=lambda duty: duty.id) == [DUTY, OTHER]
    for _ in range(2):
        await state.remove_duty(DUTY)
    assert await state.duties() == [OTHER]


async def test_a_duty_belongs_to_one_life_of_the_task(state_of: StateOf) -> None:
    await state_of("one").put_duty(DUTY)
    assert await state_of("two").duties() == []


async def test_a_duty_changes_hands_once(state_of: StateOf) -> None:
    state = state_of("one")
    await state.put_duty(DUTY)
    mine = await state.claim_duty(DUTY, "w2")
    assert (mine.id, mine.key, mine.worker) == (DUTY.id, DUTY.key, "w2")
    assert await state.duties() == [mine]
    for worker in ("w3", "w1"):
        with pytest.raises(ConditionFailed):
            await state.claim_duty(DUTY, worker)
    # Who has lost it cannot remove it either.
    await state.remove_duty(DUTY)
    assert await state.duties() == [mine]


async def test_claiming_a_duty_again_proves_that_it_is_held(state_of: StateOf) -> None:
    state = state_of("one")
    await state.put_duty(DUTY)
    first = await state.claim_duty(DUTY, "w1")
    second = await state.claim_duty(first, "w1")
    assert second.worker == "w1"
    for before in (DUTY, first):
        with pytest.raises(ConditionFailed):
            await state.claim_duty(before, "w1")
    await state.remove_duty(second)
    with pytest.raises(ConditionFailed):
        await state.claim_duty(second, "w1")
    assert await state.duties() == []


async def test_of_two_heirs_one_gets_a_duty(state_of: StateOf) -> None:
    state = state_of("one")
    await state.put_duty(DUTY)
    answers = await asyncio.gather(*(state.claim_duty(DUTY, worker) for worker in "ab"), return_exceptions=True)
    assert sorted(isinstance(answer, ConditionFailed) for answer in answers) == [False, True]


async def test_what_workers_say_of_themselves_is_for_operators(state_of: StateOf) -> None:
    facts: dict[str, str | int] = {
        "host": "a",
        "pid": "17",
        "version": "1",
        "command": "replicate",
        "seenAt": 99,
        "paused": 0,
        "leases": 3,
    }
    await state_of("one").beat("w1", WorkerRow(2, 10_000), facts)
    figures = {"paused": 0, "leases": 3}
    assert await state_of("one").workers_seen() == [WorkerSeen("w1", 2, "a", "17", "1", "replicate", 99, figures)]
    assert await state_of("one").beats() == {"w1": 2}
    assert await state_of("two").workers_seen() == []


async def test_a_worker_of_the_first_version_says_less(state_of: StateOf) -> None:
    await state_of("one").beat("w1", WorkerRow(2), {"host": "a", "pid": "17", "version": "0.1"})
    assert await state_of("one").workers_seen() == [WorkerSeen("w1", 2, "a", "17", "0.1")]


async def test_what_a_worker_asks_for_is_seen_by_the_others(state_of: StateOf) -> None:
    asking = WorkerRow(1, 10_000, frozenset({"shardId-1", "shardId-2"}))
    await state_of("one").beat("w1", asking, {"host": "a"})
    await state_of("one").beat("w2", WorkerRow(7), {})
    assert await state_of("one").workers() == {"w1": asking, "w2": WorkerRow(7)}
    await state_of("one").beat("w1", WorkerRow(2, 10_000), {"host": "a"})
    assert (await state_of("one").workers())["w1"] == WorkerRow(2, 10_000)
    assert await state_of("two").workers() == {}
