"""A narrow path to the destination is filled, never choked."""

import asyncio
from collections.abc import Sequence

import pytest

from dynamirror.errors import Side, Unanswered
from dynamirror.follow.window import BYTES_MIN, GROWTH_BYTES, Window
from dynamirror.model.change import Write
from tests.unit.follow.test_apply import Bench, virtually


def test_it_is_halved_once_for_all_that_was_sent_before() -> None:
    window = Window(10_000_000)
    for _ in range(8):
        window.sent(1_000_000)
    for _ in range(8):
        window.unanswered(1_000_000, sent_at_s=1.0, now_s=6.0)
    assert (window.limit_bytes, window.in_flight_bytes) == (4_000_000, 0)
    window.sent(1_000_000)
    window.unanswered(1_000_000, sent_at_s=7.0, now_s=12.0)
    assert window.limit_bytes == 500_000


def test_it_has_bounds_and_grows_with_each_answer() -> None:
    window = Window(BYTES_MIN + GROWTH_BYTES + 1)
    for second in range(20):
        window.sent(10)
        window.unanswered(10, sent_at_s=second, now_s=second)
    assert window.limit_bytes == BYTES_MIN
    for _ in range(3):
        window.sent(10)
        window.answered(10)
    assert window.limit_bytes == window.bytes_max


class Pipe:
    """A destination behind a path of so many bytes a second that all requests share; T = 5 s."""

    def __init__(self, bytes_per_s: float) -> None:
        self.bytes_per_s = bytes_per_s
        self.applied = 0
        self._free_at_s = 0.0

    async def write(self, writes: Sequence[Write]) -> Sequence[Write]:
        now_s = asyncio.get_running_loop().time()
        size = sum(len(write.request) for write in writes)
        self._free_at_s = max(self._free_at_s, now_s) + size / self.bytes_per_s
        if self._free_at_s - now_s > 5.0:
            # Given up: the rest of it is not sent.
            self._free_at_s = now_s + 5.0
            await asyncio.sleep(5.0)
            raise Unanswered(Side.DESTINATION, "too slow")
        await asyncio.sleep(self._free_at_s - now_s)
        self.applied += len(writes)
        return ()


@pytest.mark.parametrize("mbit", [2, 16, 40])
@virtually
async def test_a_slow_path_is_made_use_of(mbit: int) -> None:
    bench = Bench(requests_max=32, bytes_max=16 * 1024 * 1024)
    pipe = Pipe(mbit * 125_000)
    bench.destination.write = pipe.write  # type: ignore[method-assign]
    async with bench.running():
        for page in range(4):
            bench.submit(*(f"{page}-{item}" for item in range(100)), size=40_000)
        await asyncio.sleep(600)
        assert pipe.applied == 400
