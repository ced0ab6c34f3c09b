"""Of the changes that are due, only the last of each key is written."""

from collections.abc import Callable, Sequence

import msgspec
from msgspec import Raw

from dynamirror.errors import Side, Stop
from dynamirror.model.change import Record, Write, write_of
from dynamirror.model.key import Key


def coalesce(records: Sequence[Record], key_of: Callable[[Raw], Key]) -> list[Write]:
    """The writes that stand for `records` (in stream order): one a key, the newest.

    Every record is looked at, also the superseded ones, so that an unknown event name stops the shard
    wherever it stands. Raises Stop as `write_of` does, and for keys that are not of the table's key schema.
    """
    last: dict[Key, Record] = {}
    for record in records:
        if record.event_name not in _KNOWN:
            write_of(record, "")
        try:
            last[key_of(record.change.keys)] = record
        except (msgspec.DecodeError, UnicodeDecodeError, ArithmeticError) as error:
            raise _foreign_keys(record, error) from error
    return [write_of(record, key) for key, record in last.items()]


_KNOWN = frozenset({"INSERT", "MODIFY", "REMOVE"})


def _foreign_keys(record: Record, error: Exception) -> Stop:
    # The values of the keys are the user's data and stay out of messages; msgspec names attributes only.
    return Stop(
        Side.SOURCE,
        f"the keys of stream record {record.change.sequence_number} do not fit the source table's key schema: {error}. "
        "The stream is that of an earlier table of this name: start again once the table's own stream is on",
    )
