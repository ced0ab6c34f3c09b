"""Mutants of the times: one for each inequality, and for each instant from which a time is measured (P-9)."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from dynamirror.fleet.heartbeat import Heartbeat
from dynamirror.fleet.leases import HeldLease
from dynamirror.follow.send import Sender
from dynamirror.follow.settling import Aftermath
from dynamirror.model.lease_plan import Watch
from dynamirror.model.permit import Fence
from dynamirror.settings.groups import WriteSettings
from tests.sim.mutants.base import CRASHES, FROZEN, LATE, QUIET, ROWS, mutant
from tests.sim.profile import Fleet

# Heartbeats fail while proofs succeed: then only the margin keeps two owners apart.
BEATLESS = replace(QUIET, partition=0.15, partitions=("heartbeats",), start=0.4, fleet=Fleet())
ROWS_ONLY = replace(QUIET, partition=0.15, partitions=("leases writes",), start=0.4, fleet=Fleet(without_state=1.0))
SLOW = replace(BEATLESS, share=0.6, partition=0.08, places=ROWS, kinds={"slow": 1, "slow answer": 1})
OVERSLEPT = replace(LATE, share=0.6, freeze=0.2, freezes_s=(20.0, 30.0), at_send=1.0, workers_max=1, start=0.0)
# Heartbeats are answered late, and then not at all, while everything else is prompt.
SLOW_BEATS = replace(
    BEATLESS, share=0.5, partition=0.3, places=frozenset({"heartbeats"}), kinds={"slow answer": 1}, turns=60
)
RETAKEN = replace(
    CRASHES, turns=100, kill=0.05, kill_at_send=0.0, start=0.1, workers_max=2, freeze=0.1, freezes_s=(15.0,)
)


@mutant("sending stops T + drift before anybody may take the lease (inequality 4)", BEATLESS, hint=3)
def no_margin_before_the_lease_ends() -> Iterator[None]:
    with patch.object(WriteSettings, "margin_s", 0.0):
        yield


@mutant("a worker without heartbeats stops T + drift before its row expires (inequality 4)", ROWS_ONLY, hint=5)
def no_margin_before_the_row_expires() -> Iterator[None]:
    with patch.object(WriteSettings, "margin_s", 0.0):
        yield


@mutant("an owner is given the lease's whole duration", BEATLESS, hint=3)
def half_the_patience() -> Iterator[None]:
    original = Watch.still_s

    def still_s(self: Watch, row: Any) -> float | None:
        still = original(self, row)
        return None if still is None else 2 * still

    with patch.object(Watch, "still_s", still_s):
        yield


@mutant("stillness begins when the answer is there, not when the question was asked", SLOW, hint=111)
def stillness_from_the_question() -> Iterator[None]:
    original = Watch.see_beats

    def see_beats(self: Watch, beats: Any, asked_at_s: float, now_s: float) -> None:
        original(self, beats, now_s, asked_at_s)

    with patch.object(Watch, "see_beats", see_beats):
        yield


@mutant("a permit counts from before the heartbeat was sent (P-9)", SLOW_BEATS, hint=37)
def heartbeat_dated_by_its_answer() -> Iterator[None]:
    original = Heartbeat.beat

    async def beat(self: Heartbeat) -> None:
        await original(self)
        self.beaten_at_s = self._clock.boottime_s()

    with patch.object(Heartbeat, "beat", beat):
        yield


@mutant("a permit ends with the heartbeats, also while proofs succeed", BEATLESS, hint=5)
def heartbeats_left_out_of_the_permit() -> Iterator[None]:
    def until_s(self: Fence, proven_at_s: float, written_at_s: float, beaten_at_s: float) -> float:
        return min(proven_at_s + self.proof_s, written_at_s + self.row_s)

    with patch.object(Fence, "until_s", until_s):
        yield


@mutant("a proof allows sending for a second, not longer", FROZEN, hint=4)
def proof_valid_for_long() -> Iterator[None]:
    original = Fence.until_s

    def until_s(self: Fence, proven_at_s: float, written_at_s: float, beaten_at_s: float) -> float:
        return original(self, proven_at_s + 60, written_at_s + 60, beaten_at_s + 60)

    with patch.object(Fence, "until_s", until_s):
        yield


@mutant("doubt lasts L from the end of an attempt that slept (inequality 6)", OVERSLEPT, hint=7)
def doubt_measured_from_the_decision_alone() -> Iterator[None]:
    original: Callable[..., Any] = Sender._attempt

    async def attempt(self: Sender, batch: Any, sent_at_s: float) -> Any:
        outcome = await original(self, batch, sent_at_s)
        outcome.settled_at_s = sent_at_s + self._tools.settings.settle_s
        return outcome

    with patch.object(Sender, "_attempt", attempt):
        yield


@mutant("the wait after a take begins with that take", RETAKEN, hint=2)
def wait_measured_from_the_first_take_ever() -> Iterator[None]:
    original = HeldLease.__init__
    first_s: dict[tuple[int, str], float] = {}

    def init(self: HeldLease, taken: Any, tools: Any) -> None:
        original(self, taken, tools)
        key = (id(tools.clock), self.lease.shard_id)
        self.taken_at_s = first_s.setdefault(key, self.taken_at_s)

    with patch.object(HeldLease, "__init__", init):
        yield


@mutant("--cautious-takeover writes nothing before T + L", replace(CRASHES, fleet=Fleet(WriteSettings(cautious=True))))
def caution_forgotten() -> Iterator[None]:
    original = Aftermath.__init__

    def init(self: Aftermath, ends_at_s: float, budget: Any, cautious: bool) -> None:
        original(self, ends_at_s, budget, False)

    with patch.object(Aftermath, "__init__", init):
        yield


@mutant("both halves of the wait are needed: T + L, not L (inequality 6)", LATE, hint=9)
def settling_for_l_only() -> Iterator[None]:
    original = Sender._attempt

    async def attempt(self: Sender, batch: Any, sent_at_s: float) -> Any:
        outcome = await original(self, batch, sent_at_s)
        outcome.settled_at_s = sent_at_s + self._tools.settings.stray_life_s
        return outcome

    with patch.object(Sender, "_attempt", attempt):
        yield
