"""Mutants of leases that move between living workers."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from dynamirror.fleet.handoff import Giver
from dynamirror.fleet.leases import HeldLease
from dynamirror.fleet.steal import Thief
from dynamirror.fleet.tenure import Tenure
from dynamirror.model.lease import Lease, Predecessor, Taken, Terms
from tests.sim.mutants.base import QUIET, mutant

# Workers come, and go in order, so that shards move to and fro; what they send lands late.
MOVES = replace(
    QUIET,
    turns=90,
    start=0.5,
    stop=0.12,
    split=0.1,
    keys=8,
    share=0.3,
    places=frozenset({"destination"}),
    kinds={"late": 3, "slow answer": 1},
)
# And what they write into lease rows.
LOST_HAND_OVERS = replace(MOVES, places=frozenset({"leases"}), kinds={"late": 1, "applied": 1}, share=0.5, split=0.15)

_hand_over = HeldLease.hand_over


@mutant("a lease handed over with a write in doubt has no clean mark (C-3, inequality 5)", MOVES, hint=5)
def handed_over_as_clean_with_a_doubt_outstanding() -> Iterator[None]:
    async def hand_over(self: HeldLease, to: Terms, clean: bool) -> bool:
        return await _hand_over(self, to, clean=True)

    with patch.object(HeldLease, "hand_over", hand_over):
        yield


@mutant("a lease is not handed over before its own unclean start is over (C-4)", replace(MOVES, kill=0.1), hint=7)
def handed_over_before_its_start_was_over() -> Iterator[None]:
    def may_leave(self: Tenure) -> bool:
        return not (self.leaving or self.held.lease.finished)

    async def hand_over(self: HeldLease, to: Terms, clean: bool) -> bool:
        return await _hand_over(self, to, clean=True)

    with patch.object(Tenure, "may_leave", property(may_leave)), patch.object(HeldLease, "hand_over", hand_over):
        yield


@mutant("what was handed over is not sent on", MOVES, hint=5)
def handed_over_and_sent_on() -> Iterator[None]:
    async def hand_over(self: HeldLease, to: Terms, clean: bool) -> bool:
        until_s = self.permit.until_s
        handed_over = await _hand_over(self, to, clean=True)
        self.permit.until_s = until_s + 60
        return handed_over

    with patch.object(Tenure, "drop", lambda self: None), patch.object(HeldLease, "hand_over", hand_over):
        yield


@mutant("an owner has T + L to answer (inequality 5)", LOST_HAND_OVERS, hint=2)
def asked_and_not_waited_for() -> Iterator[None]:
    original = Thief.unanswered

    def unanswered(self: Thief) -> list[Lease]:
        self._patience_s = 5.0
        return original(self)

    with patch.object(Thief, "unanswered", unanswered):
        yield


@mutant("a hand-over that may land late is shut out before the shard goes on here", LOST_HAND_OVERS, hint=4)
def kept_without_moving_the_counter() -> Iterator[None]:
    async def keep(self: Giver, tenure: Tenure, left_by: Predecessor) -> None:
        self._forget(tenure)
        tenure.held.lost = False
        self._tools.start(Taken(tenure.held.lease, left_by, tenure.held.written_at_s))

    async def prove(self: HeldLease) -> Any:
        self.permit.until_s = self._clock.boottime_s() + 1.0

    with patch.object(Giver, "_keep", keep), patch.object(HeldLease, "prove", prove):
        yield


@mutant("shards are shared out", MOVES, hint=1)
def nobody_asks_for_a_shard() -> Iterator[None]:
    def asks(*_: object) -> dict[str, str]:
        return {}

    with patch("dynamirror.fleet.steal.asks", asks):
        yield
