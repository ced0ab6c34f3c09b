"""Mutants of taking over, of leases, of stopping."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from dynamirror.aws.lease_rows import update_request
from dynamirror.errors import LeaseLost, Retry
from dynamirror.fleet.leases import HeldLease
from dynamirror.fleet.tenure import Tenure
from dynamirror.follow.saving import Saver
from dynamirror.follow.send import Sender
from dynamirror.follow.settling import Aftermath
from dynamirror.follow.shard_task import ShardTask
from dynamirror.model.lease import Lease
from dynamirror.model.lease_plan import Watch
from dynamirror.model.permit import Fence
from tests.sim.mutants.base import CRASHES, FROZEN, LATE_SENDS, PARTIAL, STATE, STOPS, mutant

# Partitions that take few writes leave much to give up; slow goodbyes leave time to send it.
SLOW_STOPS = replace(
    PARTIAL,
    places=frozenset({"leases", "heartbeats"}),
    kinds={"slow answer": 1},
    share=0.7,
    meter=0.5,
    load=(10, 40),
    keys=400,
    stop=0.2,
    start=0.5,
)

# --- taking over


@mutant("an unclean start sends twice (R-6)", CRASHES, hint=5)
def unclean_start_taken_as_clean() -> Iterator[None]:
    with patch.object(Tenure, "_aftermath", lambda self: None):
        yield


@mutant("the second sending is sent", CRASHES, hint=28)
def second_sending_left_out() -> Iterator[None]:
    original = Aftermath.forget

    def forget(self: Aftermath) -> Any:
        original(self)
        return []

    with patch.object(Aftermath, "forget", forget):
        yield


@mutant("the second sending is that of the newest image", CRASHES, hint=1)
def second_sending_of_the_first_image() -> Iterator[None]:
    def remember(self: Aftermath, writes: Any) -> None:
        for write in writes:
            if self._newest.setdefault(write.key, write) is write:
                self._budget.used += len(write.request)

    with patch.object(Aftermath, "remember", remember):
        yield


@mutant("after a take the wait is T + L", CRASHES, hint=18)
def unclean_start_settled_too_soon() -> Iterator[None]:
    original = Tenure._ends_at_s.fget  # type: ignore[attr-defined]

    def ends_at_s(self: Tenure) -> float:
        return float(original(self)) - 30.0

    with patch.object(Tenure, "_ends_at_s", property(ends_at_s)):
        yield


@mutant("the checkpoint waits for the second sending", replace(CRASHES, kill=0.3), hint=1)
def checkpoint_during_an_unclean_start() -> Iterator[None]:
    original = ShardTask.__init__

    def init(self: ShardTask, *args: Any) -> None:
        original(self, *args)
        if self._barrier is not None:
            self.watermark._pages.clear()

    with patch.object(ShardTask, "__init__", init):
        yield


@mutant("a clean mark is one (R-7)", STOPS, hint=2)
def released_with_a_doubt_outstanding() -> Iterator[None]:
    with patch.object(Tenure, "settled", True):
        yield


# --- leases


@mutant("no send without a permit (P-9, P-10)", FROZEN, hint=4)
def no_send_cut_off() -> Iterator[None]:
    with patch.object(Fence, "until_s", lambda *_, **__: float("inf")):
        yield


@mutant("the permit is renewed by a proof", FROZEN, hint=4)
def a_proof_that_does_not_look() -> Iterator[None]:
    async def prove(self: HeldLease) -> None:
        self.permit.until_s = self._clock.boottime_s() + 1.0

    with patch.object(HeldLease, "prove", prove):
        yield


@mutant("a lost lease's writes are dropped (P-25)", FROZEN)
def lost_lease_goes_on() -> Iterator[None]:
    def lose(self: HeldLease, row: Lease | None) -> LeaseLost:
        return LeaseLost("lost")

    async def prove(self: HeldLease) -> None:
        self.permit.until_s = self._clock.boottime_s() + 1.0

    with (
        patch.object(HeldLease, "_lose", lose),
        patch.object(HeldLease, "prove", prove),
        patch.object(Tenure, "_abandon", lambda self: None),
        patch.object(Tenure, "lose", lambda self: None),
    ):
        yield


@mutant("a late send of a lost lease is reconciled (A-8)", LATE_SENDS, hint=31)
def late_send_forgotten() -> Iterator[None]:
    with patch.object(Sender, "_note_late", lambda *_: None):
        yield


@mutant("every write of a row is conditional", replace(FROZEN, share=0.3))
def take_without_condition() -> Iterator[None]:
    def unconditional(update: Any) -> Any:
        request = dict(update_request(update))
        request["ConditionExpression"] = "attribute_exists(#leaseCounter)"
        values = {name: value for name, value in request["ExpressionAttributeValues"].items() if "seen_" not in name}
        request["ExpressionAttributeValues"] = {
            name: value for name, value in values.items() if not name.startswith(":not_")
        }
        return {**request, "ExpressionAttributeNames": _used(request)}

    with patch("dynamirror.aws.lease_table.update_request", unconditional):
        yield


def _used(request: dict[str, Any]) -> dict[str, str]:
    text = request["UpdateExpression"] + request["ConditionExpression"]
    return {name: full for name, full in request["ExpressionAttributeNames"].items() if name in text.replace(",", " ")}


@mutant("an owner is given its whole time", replace(FROZEN, freeze=0.0, share=0.2, partition=0.0))
def dead_owner_judged_too_early() -> Iterator[None]:
    with (
        patch("dynamirror.fleet.outlook.expired", lambda *_: True),
        patch.object(Watch, "still_s", lambda *_: 1e9),
    ):
        yield


# --- start, stop


@mutant("a stop saves what is durable, not what was read", STOPS)
def last_page_saved_by_a_stop() -> Iterator[None]:
    original = Tenure.save_now

    async def save_now(self: Tenure) -> None:
        if self._shard is not None and (pages := self._shard.watermark._pages):
            self._shard.watermark.checkpoint = pages[-1].last_sequence
            pages.clear()
        await original(self)

    with patch.object(Tenure, "save_now", save_now):
        yield


@mutant("what a stop gives up is not sent behind the release", SLOW_STOPS, hint=31)
def released_and_sent_on() -> Iterator[None]:
    with patch.object(Tenure, "drop", lambda self: None), patch.object(HeldLease, "release", _released_with_permit):
        yield


async def _released_with_permit(self: HeldLease, nothing_until_ms: int | None = None) -> None:
    until_s = self.permit.until_s
    await _release(self, nothing_until_ms)
    self.permit.until_s = until_s + 60


_release = HeldLease.release


@mutant("a worker that fails to save says so and tries again", STATE, hint=25)
def shard_end_saved_once_and_never_again() -> Iterator[None]:
    async def until_done(self: Saver, step: Callable[[], Any]) -> None:
        try:
            await step()
        except Retry:
            return

    with patch.object(Saver, "until_done", until_done):
        yield
