"""Up to when all of a shard is durable, as its lease row says it to operators. Nothing is decided by it."""

from dataclasses import replace

from dynamirror.model.lease import Lease, Predecessor, Update, last_owner


def saying(update: Update, applied_to_ms: int | None) -> Update:
    """The update, which also says up to when all is durable; None: not known. It never goes back."""
    if applied_to_ms is None or applied_to_ms <= (update.after.applied_to_ms or 0):
        return update
    return replace(update, after=replace(update.after, applied_to_ms=applied_to_ms))


def applied_to_ms(row: Lease) -> int | None:
    """What the row says of it; None where a Java worker may have had the row since, which keeps the attribute (R-9)."""
    return None if last_owner(row) is Predecessor.UNKNOWN else row.applied_to_ms


def unread_since_ms(row: Lease) -> int | None:
    """All of the shard up to then is durable, or not wanted; None: not known, as `applied_to_ms`.

    What the row says of a shard without changes is no older than some seconds by the first, than an hour by the second.
    """
    applied_ms = applied_to_ms(row)
    if applied_ms is not None or last_owner(row) is Predecessor.UNKNOWN:
        return applied_ms
    return row.unread_since_ms
