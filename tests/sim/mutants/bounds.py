"""Mutants of liveness and bounds: what must go on, and what must stay small."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from dynamirror.errors import LeaseLost, Throttled
from dynamirror.fleet.leases import HeldLease
from dynamirror.follow.apply import Applier
from dynamirror.follow.settling import Aftermath
from dynamirror.model.lease import Lease
from dynamirror.model.lease_plan import Watch, takes
from tests.sim.mutants.base import CRASHES, PARTIAL, QUIET, ROWS, mutant
from tests.sim.profile import SMALL, Fleet

# Much is read while the destination takes nothing.
STUCK = replace(QUIET, keys=3000, meter=0.3, partition=0.3, partitions=("destination",), fleet=SMALL, workers_max=1)
UNSURE = replace(QUIET, share=0.3, places=ROWS, kinds={"applied": 1}, start=0.3, fleet=Fleet())
# Alone: another worker takes, after a while, what does not seem to be renewed.
TAKES = replace(UNSURE, kill=0.1, roll=0.1, workers_max=1)


@mutant("readers wait while the queue is full", STUCK, hint=3)
def reading_without_room() -> Iterator[None]:
    with patch.object(Applier, "room", lambda self: None):
        yield


@mutant("requests in flight are bounded", STUCK, hint=24)
def any_number_of_requests() -> Iterator[None]:
    original = Applier._pump

    def pump(self: Applier) -> None:
        requests, self._requests = self._requests, 0
        original(self)
        self._requests += requests

    with patch.object(Applier, "_pump", pump):
        yield


@mutant("what is remembered for a second sending is bounded", replace(CRASHES, keys=3000, fleet=SMALL, meter=0.2))
def everything_remembered() -> Iterator[None]:
    with patch.object(Aftermath, "full", False):
        yield


@mutant("what was remembered is forgotten when the tenure ends", replace(CRASHES, stop=0.1), hint=2)
def memory_never_given_back() -> Iterator[None]:
    original = Aftermath.forget

    def forget(self: Aftermath) -> Any:
        used = self._budget.used
        writes = original(self)
        self._budget.used = used
        return writes

    with patch.object(Aftermath, "forget", forget):
        yield


@mutant("an answer that was lost costs no lease (P-8)", UNSURE, hint=4)
def lost_answer_taken_for_a_lost_lease() -> Iterator[None]:
    original = HeldLease._resolve

    async def resolve(self: HeldLease) -> None:
        if self._unsure is not None:
            raise self._lose(None)
        await original(self)

    with patch.object(HeldLease, "_resolve", resolve):
        yield


@mutant("a throttled update costs no lease", replace(UNSURE, kinds={"throttle": 1}), hint=1)
def throttle_taken_for_a_lost_lease() -> Iterator[None]:
    original = HeldLease._sent

    async def sent(self: HeldLease, update: Any) -> bool:
        try:
            return await original(self, update)
        except Throttled:
            self._lose(None)
            raise LeaseLost("throttled") from None

    with patch.object(HeldLease, "_sent", sent):
        yield


@mutant("a row that names this worker, which does not know of it, is found again", TAKES, hint=6)
def lost_take_never_noticed() -> Iterator[None]:
    def others(rows: Any, watch: Watch, patience: Any, me: str, held: Any) -> list[Lease]:
        return [row for row in takes(rows, watch, patience, me, held) if row.owner != me]

    with patch("dynamirror.fleet.taker.takes", others):
        yield


@mutant("leases of the dead are taken", replace(CRASHES, start=0.6))
def the_dead_keep_their_leases() -> Iterator[None]:
    with patch("dynamirror.model.lease_plan.expired", lambda *_: False):
        yield


@mutant("a full queue lets readers go on when it has room again", STUCK)
def nobody_says_that_there_is_room() -> Iterator[None]:
    def room(self: Applier) -> Any:
        full = self._bytes >= self._tools.settings.queue_bytes_max
        return asyncio.get_running_loop().create_future() if full else None

    with patch.object(Applier, "room", room):
        yield


@mutant("a failed attempt comes back", replace(PARTIAL, share=0.2), hint=1)
def failed_attempts_wait_for_ever() -> Iterator[None]:
    async def again(self: Applier, failed: Any, error: Any) -> None:
        return None

    with patch.object(Applier, "_again", again):
        yield
