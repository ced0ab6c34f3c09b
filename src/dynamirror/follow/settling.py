"""After an unclean start: what is written while a predecessor's last writes may still land is sent once more (R-6).

    1 the predecessor sends v1, and dies; the request is still on its way
    2 this worker takes the lease, reads v1 and v2 again, and writes v2
    3 v1 lands on v2

Only the dead owner knew of its request. So until T + L after the take every written key is remembered with its newest
change, checkpoint and SHARD_END are held back, and then those changes are written a second time. What cannot be
remembered is not read before the time is over, which bounds memory and never writes an older image over a newer one.
"""

from collections.abc import Iterable

from dynamirror.model.change import Write
from dynamirror.model.key import Key


class Budget:
    """Bytes that all shards of a worker may remember together."""

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.used = 0

    def __repr__(self) -> str:
        return f"Budget({self.used} of {self.bytes_max})"


class Aftermath:
    """The newest write of every key written since the take."""

    def __init__(self, ends_at_s: float, budget: Budget, cautious: bool) -> None:
        """`ends_at_s`: boot time from which nothing of the predecessor can land. `cautious`: write nothing before."""
        self.ends_at_s = ends_at_s
        self._budget = budget
        self._cautious = cautious
        self._newest: dict[Key, Write] = {}

    @property
    def full(self) -> bool:
        """No further page may be read before the end."""
        return self._cautious or self._budget.used >= self._budget.bytes_max

    def remember(self, writes: Iterable[Write]) -> None:
        """Newer than all remembered before for their keys."""
        newest = self._newest
        for write in writes:
            older = newest.get(write.key)
            self._budget.used += write.weight_bytes - (older.weight_bytes if older is not None else 0)
            newest[write.key] = write

    def forget(self) -> list[Write]:
        """What was remembered, no key twice; the budget is free again. Idempotent."""
        writes = list(self._newest.values())
        self._newest.clear()
        self._budget.used -= sum(write.weight_bytes for write in writes)
        return writes
