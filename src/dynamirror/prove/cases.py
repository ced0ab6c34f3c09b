"""The items that one worker has to reconcile: which are durable duties, which are due, which are in work.

Bookkeeping only, no I-O; the order of calls is prove/reconcile's.
"""

from dynamirror.model.duty import Duty
from dynamirror.model.item_key import ItemKey
from dynamirror.model.key import Key


class Case:
    """One item. Looked at from `ready_at_s` on, by the worker's boot-time clock, once its reasons are durable."""

    __slots__ = ("attempts", "duties", "key", "note", "ready_at_s", "refused", "version", "why")

    def __init__(self, key: ItemKey, ready_at_s: float, note: Duty | None = None) -> None:
        self.key = key
        self.ready_at_s = ready_at_s
        # Its rows in the state table, claimed by this worker when last heard of.
        self.duties: list[Duty] = []
        # A row that is still to be written. Each new reason has a row of its own: another worker may have taken the
        # older rows without this one's knowing, and be done with them already.
        self.note = note
        self.attempts = 0
        # By one of the tables, at the last look: it is tried again only after a long time.
        self.refused = False
        # What the table said then.
        self.why = ""
        # Moves whenever it starts over: what was begun before does not settle it.
        self.version = 0

    def __repr__(self) -> str:
        return f"Case({self.key.key!r}, ready_at_s={self.ready_at_s}, attempts={self.attempts})"

    def not_before(self, at_s: float) -> None:
        """Put it off; never nearer."""
        self.ready_at_s = max(self.ready_at_s, at_s)

    def again(self, ready_at_s: float) -> None:
        """It starts over. Of one that was refused nothing is on its way: it need not wait any longer for that."""
        self.ready_at_s = ready_at_s if self.refused else max(self.ready_at_s, ready_at_s)
        self.refused = False
        self.version += 1


class Cases:
    """All cases of a worker that are not settled, by key."""

    def __init__(self) -> None:
        self._open: dict[Key, Case] = {}
        self._closing: dict[Case, None] = {}

    def __len__(self) -> int:
        """Those included whose rows are still to be removed."""
        return len(self._open) + len(self._closing)

    def find(self, key: ItemKey) -> Case | None:
        """The open case of an item."""
        return self._open.get(key.key)

    def open(self, case: Case) -> None:
        """A new one."""
        assert case.key.key not in self._open, f"{case!r} is open already"
        self._open[case.key.key] = case

    def duty_ids(self) -> set[str]:
        """The ids of all rows of all cases, those included that are just being written."""
        cases = (*self._open.values(), *self._closing)
        return {duty.id for case in cases for duty in (*case.duties, *([case.note] if case.note is not None else []))}

    def close(self, case: Case) -> None:
        """Settled; its rows are to be removed. Added again from now on, the item becomes a new case."""
        del self._open[case.key.key]
        self._closing[case] = None

    def closing(self) -> list[Case]:
        """Those whose rows are to be removed."""
        return list(self._closing)

    def closing_ids(self) -> set[str]:
        """The ids of their rows."""
        return {duty.id for case in self._closing for duty in case.duties}

    def closed(self, case: Case) -> None:
        """Its rows are removed."""
        del self._closing[case]

    def drop(self, case: Case) -> None:
        """Another worker has taken all of its rows, and sees to it."""
        del self._open[case.key.key]

    def unwritten(self) -> list[Case]:
        """Those with a row that is still to be written."""
        return [case for case in self._open.values() if case.note is not None]

    @property
    def under_way(self) -> bool:
        """One is open that was not refused."""
        return not all(case.refused for case in self._open.values())

    def due(self, now_s: float, cases_max: int) -> list[Case]:
        """Some that may be looked at now, longest due first."""
        due = [case for case in self._open.values() if case.note is None and case.ready_at_s <= now_s]
        return sorted(due, key=lambda case: case.ready_at_s)[:cases_max]

    def next_at_s(self) -> float | None:
        """When the next one may be looked at; None: never, as things are."""
        return min((case.ready_at_s for case in self._open.values() if case.note is None), default=None)
