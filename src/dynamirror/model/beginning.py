"""Where the reading of a shard begins, by its lease row."""

from dynamirror.model.lease import LATEST, TRIM_HORIZON, Lease


def read_from(lease: Lease, at_latest: bool) -> str:
    """Where to begin. LATEST written by an earlier process would skip what came since: begin at the oldest record
    and skip by time instead (the row keeps the start). What lies behind a noted gap is what is left."""
    if lease.behind_gap:
        return TRIM_HORIZON
    if lease.checkpoint == LATEST and not at_latest and lease.start_at_ms is not None:
        return TRIM_HORIZON
    return lease.checkpoint
