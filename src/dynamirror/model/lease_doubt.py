"""What became of an update of a lease row whose answer was lost: only the row can tell."""

from dynamirror.model.lease import Lease, Update


def was_applied(update: Update, row: Lease | None) -> bool:
    """Whether a refused update had in truth been applied and only its answer was lost (P-8).

    Owner and counter decide: every other writer moves the counter away from `after.counter` or changes the owner. One's
    own late update moves it there too, so what the update was for must be there:

        1 a renewal is not answered; 2 the row is read, unchanged; 3 that a gap is passed is sent; 4 the renewal lands;
        5 what was sent is refused, and the counter is as it would have left it

    Up to when all is durable is what no update is for: an earlier one of one's own says less, and nothing untrue.
    """
    return (
        row is not None
        and row.owner == update.after.owner
        and row.counter == update.after.counter
        and row.checkpoint == update.after.checkpoint
        and row.gap_behind == update.after.gap_behind
        and row.since_ms == update.after.since_ms
        and row.unsettled == update.after.unsettled
    )


def written_by_owner(before: Lease, row: Lease | None) -> bool:
    """Whether `row` is `before` after exactly one write of its owner, whatever that write was.

    One step of anybody else changes the owner: takers put theirs, releasing removes it.
    """
    return row is not None and row.owner == before.owner and row.counter == before.counter + 1
