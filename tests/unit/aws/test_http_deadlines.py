"""Each answer is waited for up to its own deadline, though one timer stands for all."""

import asyncio
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynamirror.aws.http_deadlines import Deadlines
from dynamirror.testing.virtual_time import run_virtual

# Begins, may take, answered after (None: never), in seconds.
EXCHANGES = st.lists(
    st.tuples(st.integers(0, 20), st.integers(1, 20), st.none() | st.integers(0, 25)), min_size=1, max_size=12
)


@given(exchanges=EXCHANGES)
@settings(max_examples=200, deadline=None)
def test_each_ends_by_its_answer_or_at_its_deadline(exchanges: list[tuple[int, int, int | None]]) -> None:
    def settle(answer: asyncio.Future[Any]) -> None:
        if not answer.done():
            answer.set_result("answer")

    async def one(deadlines: Deadlines, begins_s: int, may_take_s: int, answered_s: int | None) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(begins_s)
        answer: asyncio.Future[Any] = loop.create_future()
        begun_at_s = loop.time()
        deadlines.watch(answer, begun_at_s + may_take_s)
        if answered_s is not None and answered_s != may_take_s:
            loop.call_later(answered_s, settle, answer)
        try:
            got = await answer
        except TimeoutError:
            got = None
        finally:
            deadlines.let_go(answer)
        took_s = loop.time() - begun_at_s
        in_time = answered_s is not None and answered_s < may_take_s
        assert got == ("answer" if in_time else None)
        assert abs(took_s - (answered_s if in_time and answered_s is not None else may_take_s)) < 0.01

    async def all_of_them() -> None:
        deadlines = Deadlines()
        await asyncio.gather(*(one(deadlines, *exchange) for exchange in exchanges))

    run_virtual(all_of_them())


async def test_what_times_out_between_milliseconds_does_not_spin() -> None:
    loop, deadlines = asyncio.get_running_loop(), Deadlines()
    with patch.object(deadlines, "_set", wraps=deadlines._set) as timers:
        for _ in range(20):
            answer: asyncio.Future[Any] = loop.create_future()
            deadlines.watch(answer, loop.time() + 0.0104)
            with pytest.raises(TimeoutError):
                await answer
            deadlines.let_go(answer)
    assert timers.call_count <= 3 * 20


def test_timers_are_not_set_for_each() -> None:
    async def count() -> int:
        loop, deadlines = asyncio.get_running_loop(), Deadlines()
        with patch.object(loop, "call_at", wraps=loop.call_at) as call_at:
            for _ in range(1000):
                answer: asyncio.Future[Any] = loop.create_future()
                deadlines.watch(answer, loop.time() + 5)
                deadlines.let_go(answer)
        return call_at.call_count

    assert run_virtual(count()) == 1
