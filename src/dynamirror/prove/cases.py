"""The items that one worker has to reconcile: which are durable duties, which are due, which are in work.

Bookkeeping only, no I-O; the order of calls is prove/reconcile's.
"""

from dynamirror.model.duty import Duty
from dynamirror.model.item_key import ItemKey
from dynamirror.model.key import Key


class Case:
    """One item. Looked at from `ready_at_s` on, by the worker's boot-time clock, once its duty is durable."""

    __slots__ = ("attempts", "durable", "duties", "key", "ready_at_s", "version")

    def __init__(self, key: ItemKey, ready_at_s: float, duties: list[Duty], durable: bool) -> None:
        self.key = key
        self.ready_at_s = ready_at_s
        # Its rows in the state table, all claimed by this worker; more than one after a take-over.
        self.duties = duties
        self.durable = durable
        self.attempts = 0
        # Moves whenever it starts over.
        self.version = 0

    def __repr__(self) -> str:
        return f"Case({self.key.key!r}, ready_at_s={self.ready_at_s}, attempts={self.attempts})"

    def not_before(self, at_s: float) -> None:
        """Put it off; never nearer."""
        self.ready_at_s = max(self.ready_at_s, at_s)

    def again(self, ready_at_s: float) -> None:
        """It starts over: what was begun before does not settle it."""
        self.not_before(ready_at_s)
        self.version += 1


class Cases:
    """All cases of a worker that are not settled, by key."""

    def __init__(self) -> None:
        self._open: dict[Key, Case] = {}
        self._closing: set[Case] = set()

    def __len__(self) -> int:
        """Those included whose rows are just being removed."""
        return len(self._open) + len(self._closing)

    def find(self, key: ItemKey) -> Case | None:
        """The open case of an item."""
        return self._open.get(key.key)

    def open(self, case: Case) -> None:
        """A new one."""
        assert case.key.key not in self._open, f"{case!r} is open already"
        self._open[case.key.key] = case

    def duty_ids(self) -> set[str]:
        """The ids of all rows of all cases."""
        return {duty.id for case in (*self._open.values(), *self._closing) for duty in case.duties}

    def close(self, case: Case) -> None:
        """Settled; its rows are about to be removed. Added again meanwhile, the item becomes a new case."""
        del self._open[case.key.key]
        self._closing.add(case)

    def closed(self, case: Case) -> None:
        """Its rows are removed."""
        self._closing.remove(case)

    def reopen(self, case: Case) -> None:
        """Its rows could not be removed: they remain the worker's task, if need be beside a newer case's."""
        self._closing.remove(case)
        newer = self._open.get(case.key.key)
        if newer is not None:
            newer.duties += case.duties
        else:
            self._open[case.key.key] = case

    def drop(self, case: Case) -> None:
        """Another worker has taken all of its rows, and sees to it."""
        del self._open[case.key.key]

    def unwritten(self) -> list[Case]:
        """Those whose duty is not durable yet."""
        return [case for case in self._open.values() if not case.durable]

    def due(self, now_s: float, cases_max: int) -> list[Case]:
        """Some that may be looked at now, longest due first."""
        due = [case for case in self._open.values() if case.durable and case.ready_at_s <= now_s]
        return sorted(due, key=lambda case: case.ready_at_s)[:cases_max]

    def next_at_s(self) -> float | None:
        """When the next one may be looked at; None: never, as things are."""
        return min((case.ready_at_s for case in self._open.values() if case.durable), default=None)
