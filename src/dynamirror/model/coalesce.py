"""Of the changes that are due, only the last of each key is written."""

from collections.abc import Callable, Sequence

from msgspec import Raw

from dynamirror.model.change import Record, Write, write_of
from dynamirror.model.key import Key


def coalesce(records: Sequence[Record], key_of: Callable[[Raw], Key]) -> list[Write]:
    """The writes that stand for `records` (in stream order): one a key, the newest.

    Every record is looked at, also the superseded ones, so that an unknown event name stops the shard
    wherever it stands. Raises Stop as `write_of` does.
    """
    last: dict[Key, Record] = {}
    for record in records:
        if record.event_name not in _KNOWN:
            write_of(record, "")
        last[key_of(record.change.keys)] = record
    return [write_of(record, key) for key, record in last.items()]


_KNOWN = frozenset({"INSERT", "MODIFY", "REMOVE"})
