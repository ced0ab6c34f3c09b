"""Duties: items that somebody has to reconcile, whoever dies meanwhile; and when a claim on one has ended.

A duty is claimed by one worker at a time. An heir must not look at the item too early:

    1 W reads destination A and source B, sends "put B if A", and dies; the request is still on its way
    2 the source goes back to A, and A is applied
    3 an heir reads A on both sides, finds them equal, and forgets the duty
    4 W's request lands: its condition holds, and B stands there for ever

So an heir waits T + L from the moment at which W can have sent its last request. W sends under a claim only until a
margin before others may take the claim from it, which they judge by W's heartbeats, on their own clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from dynamirror.model.diff import Item
from dynamirror.model.key import Key, key_digest


@dataclass(frozen=True, slots=True)
class Duty:
    """One item to be reconciled, as it stands in the state table."""

    id: str
    # The item's key attributes, verbatim.
    key: Item
    # Who sees to it now.
    worker: str
    # Grows with every change of hands and every proof of ownership.
    claim: int = 1


def duty_id(key: Key, worker: str, number: int) -> str:
    """The row's id: of one item, one worker, one occasion; so no late request for a row can concern another one."""
    return f"{key_digest(key)}/{worker}/{number}"


@dataclass(slots=True)
class _Seen:
    beat: int | None
    since_s: float
    moved: bool


class ClaimWatch:
    """Which claimants have fallen silent, as one observer sees it on its own clock. Forgets who claims nothing.

    A claimant without a heartbeat row is watched like one whose counter stands still: it may beat soon.
    """

    def __init__(self, silence_s: float) -> None:
        """`silence_s`: how long a heartbeat stands still before its worker's claims have ended."""
        self._silence_s = silence_s
        self._seen: dict[str, _Seen] = {}
        self._asked_at_s = 0.0

    def see(self, beats: Mapping[str, int | None], asked_at_s: float, now_s: float) -> None:
        """`beats`: of each claimant. Silence counts from the receipt of one answer to the sending of a later question,
        so an observer that was frozen has not heard anybody be silent."""
        seen = {}
        for worker, beat in beats.items():
            known = self._seen.get(worker)
            if known is not None and known.beat == beat:
                seen[worker] = known
            else:
                seen[worker] = _Seen(beat, now_s, moved=known is not None)
        self._seen = seen
        self._asked_at_s = asked_at_s

    def ended_at_s(self, worker: str) -> float | None:
        """When the worker's claims ended; None: they have not, as far as is known."""
        seen = self._seen.get(worker)
        if seen is None or self._asked_at_s - seen.since_s < self._silence_s:
            return None
        return seen.since_s + self._silence_s

    def undecided_until_s(self) -> float | None:
        """When to look again at the latest at those of whom it is not known yet whether they live; None: nobody."""
        return min((seen.since_s + self._silence_s for seen in self._seen.values() if not seen.moved), default=None)
