"""Never more at once than there are turns, none lost whoever is cancelled, first come first served."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from dynamirror.loops.turns import Turns

# Of each who wants a turn: how many steps of the loop it keeps it, and after how many it is cancelled (None: never).
WANTS = st.lists(st.tuples(st.integers(0, 4), st.none() | st.integers(0, 12)), min_size=1, max_size=12)


@given(at_once_max=st.integers(1, 3), wants=WANTS)
@settings(max_examples=300, deadline=None)
def test_no_turn_is_lost_or_given_twice(at_once_max: int, wants: list[tuple[int, int | None]]) -> None:
    turns, at_once, most = Turns(at_once_max), 0, 0

    async def one(steps: int) -> None:
        nonlocal at_once, most
        await turns.take()
        at_once += 1
        most = max(most, at_once)
        try:
            for _ in range(steps):
                await asyncio.sleep(0)
        finally:
            at_once -= 1
            turns.give_back()

    async def all_of_them() -> None:
        tasks = [asyncio.ensure_future(one(steps)) for steps, _ in wants]
        for step in range(80):
            for task, (_, cancelled_after) in zip(tasks, wants, strict=True):
                if cancelled_after == step:
                    task.cancel()
            await asyncio.sleep(0)
        assert all(task.done() for task in tasks), "somebody waits for ever"

    asyncio.run(all_of_them())
    assert most <= at_once_max
    assert (at_once, turns.free) == (0, at_once_max)


async def test_first_come_first_served_also_by_those_who_come_while_one_is_handed_on() -> None:
    turns, served = Turns(1), []

    async def one(name: str) -> None:
        await turns.take()
        served.append(name)

    await turns.take()
    waiting = asyncio.ensure_future(one("first"))
    await asyncio.sleep(0)
    turns.give_back()
    late = asyncio.ensure_future(one("late"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert served == ["first"]
    turns.give_back()
    await asyncio.gather(waiting, late)
    assert served == ["first", "late"]


async def test_a_turn_that_was_handed_to_one_that_is_cancelled_goes_on_to_the_next() -> None:
    turns = Turns(1)
    await turns.take()
    first = asyncio.ensure_future(turns.take())
    second = asyncio.ensure_future(turns.take())
    await asyncio.sleep(0)
    turns.give_back()
    first.cancel()
    await asyncio.wait_for(second, 5)
    assert first.cancelled()
    assert turns.free == 0
