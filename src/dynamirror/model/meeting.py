"""Where the items of two tables meet by key: equal ones vanish, the others become suspects. Bounded in memory.

Nothing here proves a difference: the two sides were read at different times. Every key that is handed out is looked at
again (model/suspect).
"""

from collections.abc import Iterable

from dynamirror.errors import Side
from dynamirror.model.key import Key

# Measured: a key, a digest and their places in a dictionary, beside the key's own characters.
ENTRY_BYTES = 200

_OTHER = {Side.SOURCE: Side.DESTINATION, Side.DESTINATION: Side.SOURCE}


class Meeting:
    """Of one segment. What has no partner yet waits; beyond the bound those that waited longest are suspects."""

    def __init__(self, bytes_max: int) -> None:
        """`bytes_max`: of all that waits."""
        self._bytes_max = bytes_max
        self._bytes = 0
        self._waiting: dict[Side, dict[Key, bytes]] = {Side.SOURCE: {}, Side.DESTINATION: {}}
        self._ended: set[Side] = set()

    def __repr__(self) -> str:
        return f"Meeting(waiting={ {side.value: len(keys) for side, keys in self._waiting.items()} })"

    def waiting(self, side: Side) -> int:
        """How many items of one side have met none of the other."""
        return len(self._waiting[side])

    def add(self, side: Side, items: Iterable[tuple[Key, bytes]]) -> list[Key]:
        """Items of one side, as (key, digest); returns the keys that are suspects by now."""
        assert side not in self._ended, f"{side} has ended"
        mine, theirs = self._waiting[side], self._waiting[_OTHER[side]]
        suspects = []
        for key, digest in items:
            partner = theirs.pop(key, None)
            if partner is not None:
                self._bytes -= _weight(key)
                if partner != digest:
                    suspects.append(key)
                continue
            if key not in mine:
                self._bytes += _weight(key)
            mine[key] = digest
        if _OTHER[side] in self._ended:
            return suspects + self._all(side)
        return suspects + self._overflow()

    def end(self, side: Side) -> list[Key]:
        """One side has no more items: whatever waits of the other, or comes from now on, is a suspect."""
        self._ended.add(side)
        other = _OTHER[side]
        suspects = self._all(other)
        if other in self._ended:
            suspects += self._all(side)
        return suspects

    def _all(self, side: Side) -> list[Key]:
        keys = list(self._waiting[side])
        self._waiting[side].clear()
        self._bytes -= sum(map(_weight, keys))
        return keys

    def _overflow(self) -> list[Key]:
        keys = []
        while self._bytes > self._bytes_max:
            longest = max(self._waiting.values(), key=len)
            key = next(iter(longest))
            del longest[key]
            self._bytes -= _weight(key)
            keys.append(key)
        return keys


def _weight(key: Key) -> int:
    return ENTRY_BYTES + (len(key) if isinstance(key, str) else len(key[0]) + len(key[1]))
