"""Whoever waits for a permit goes on once there is one, whatever brought it."""

import asyncio
from collections.abc import Callable

import pytest

from dynamirror.errors import Retry, Side, Unreachable
from dynamirror.follow.proofs import RETRY, Proofs
from dynamirror.loops.log_limit import LogLimit
from dynamirror.model.lease import Lease
from dynamirror.model.permit import NEVER, Permit
from dynamirror.model.watermark import Watermark
from dynamirror.testing.virtual_time import VirtualClock, run_virtual

PROOF_S = 1.0


class Held:
    """A lease whose proofs extend the permit, unless they are throttled or the like (`away`)."""

    def __init__(self, clock: VirtualClock) -> None:
        self.lease = Lease("shard", "5", "w", 3)
        self.permit = Permit(NEVER)
        self.away: Retry | None = None
        self._clock = clock

    async def prove(self) -> None:
        sent_at_s = self._clock.boottime_s()
        await asyncio.sleep(0.01)
        if self.away is not None:
            raise self.away
        self.permit.until_s = sent_at_s + PROOF_S

    async def checkpoint(self, position: str, skipped_all: bool = False) -> None:
        raise AssertionError

    async def pass_gap(self, noted_at_ms: int) -> None:
        raise AssertionError


def waiting_from(until_waits_s: float, helped: Callable[[Held, VirtualClock], None] | None, away: bool) -> float:
    """How long a page waits for its permit, where every half second somebody else extends it."""

    async def scenario() -> float:
        clock = VirtualClock()
        held, resumed = Held(clock), asyncio.Event()
        held.away = Unreachable(Side.STATE, "injected") if away else None
        proofs = Proofs(held, Watermark(held.permit), clock, PROOF_S, LogLimit(clock, 10.0))

        async def others() -> None:
            await asyncio.sleep(until_waits_s)
            while helped is not None:
                helped(held, clock)
                await asyncio.sleep(0.5)

        async with asyncio.TaskGroup() as group:
            helping = group.create_task(others())
            running = group.create_task(proofs.run(lambda: False, lambda: 0.5, resumed.set))
            begun_s = clock.boottime_s()
            async with asyncio.timeout(60):
                await proofs.permitted()
                await resumed.wait()
            waited_s = clock.boottime_s() - begun_s
            assert proofs.valid
            helping.cancel()
            running.cancel()
        return waited_s

    return run_virtual(scenario())


def renewed(held: Held, clock: VirtualClock) -> None:
    held.permit.until_s = clock.boottime_s() + PROOF_S


def within_reach(held: Held, _: VirtualClock) -> None:
    held.away = None


def test_a_proof_ends_the_waiting() -> None:
    assert waiting_from(0, None, away=False) < 0.1


def test_a_proof_that_failed_is_asked_for_again() -> None:
    assert waiting_from(3.0, within_reach, away=True) < 3.0 + 2 * RETRY.most_s


@pytest.mark.parametrize("from_s", [0.0, 0.005, 3.0])
def test_so_does_a_renewal_that_makes_a_proof_needless(from_s: float) -> None:
    """1 a page finds no permit, and waits for a proof; 2 the lease is renewed, twice a second beside a Java worker of
    three seconds; 3 the permit never runs low, and no proof is made. The page waited for one for ever."""
    assert waiting_from(from_s, renewed, away=True) < from_s + 2 * PROOF_S
