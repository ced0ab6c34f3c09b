"""What an operator should look at, by what the rows of a task say."""

from collections.abc import Iterator, Sequence

from dynamirror.model.orders import RateOrder
from dynamirror.model.progress_text import time_text
from dynamirror.model.status import ShardState, ShardStatus, Status

# A shard that is so far behind makes no progress, or too little.
LAG_MS = 5 * 60 * 1000
# Seen at one place for so long although its row should move every 21 s.
UNMOVED_S = 60.0
# Until changes are lost: from here on it is said.
LOSS_MS = 12 * 60 * 60 * 1000
_NAMED_MAX = 3


def warnings(status: Status) -> list[str]:
    """One line each; the gravest first."""
    return [*_loss(status), *_nobody(status), *_shards(status), *_workers(status), *_rows(status)]


def _loss(status: Status) -> Iterator[str]:
    seen = status.seen
    for gap in seen.gaps:
        yield f"open gap: {gap}; changes before it was found may be missing: dynamirror verify --repair"
    lost_ms = status.lost_from_ms
    if lost_ms is not None:
        left_ms = lost_ms - seen.at_ms
        if left_ms <= 0:
            yield "the stream keeps changes for 24 h, and shards have not been read for longer: some may be lost"
        elif left_ms < LOSS_MS:
            yield f"the stream forgets changes that are not applied in {time_text(left_ms / 1000)}"
    for copied in status.copies:
        if copied.copy.needs_verify:
            yield "the copy is not proven to be whole: dynamirror verify"


def _nobody(status: Status) -> Iterator[str]:
    unfinished = [shard for shard in status.shards if shard.state is not ShardState.FINISHED]
    if unfinished and not status.living:
        yield f"no worker shows life, and {len(unfinished)} shards are not finished"
    failure = status.failure
    if failure is not None:
        ago = time_text(max(0, status.seen.at_ms - failure.at_ms) / 1000)
        yield (f"process {failure.pid} on {failure.host} ended {ago} ago, exit code {failure.exit_code}: {failure.why}")


def _shards(status: Status) -> Iterator[str]:
    shards, living = status.shards, bool(status.living)
    free = [shard for shard in shards if shard.state is ShardState.FREE]
    if free and living:
        yield f"{_named(free)} open, and owned by nobody; workers take free shards within about 10 s"
    silent = [shard for shard in shards if shard.state is ShardState.OWNER_SILENT]
    if silent and living:
        yield f"{_named(silent)} owned by workers that show no life; others take them within about 10 s, or 80 s"
    if status.seen.orders.paused:
        return
    behind = [
        shard
        for shard in shards
        if shard.state in (ShardState.READING, ShardState.BEHIND_GAP)
        # Of a Java worker's shard without changes nothing moves that is looked at here.
        and shard.lag_ms is not None
        and (shard.lag_ms > LAG_MS or (shard.unmoved_s or 0.0) > UNMOVED_S)
    ]
    if behind:
        logs = f"look at the log of {_owners(status, behind)}"
        yield f"{_named(behind)} making no progress, or too little: {logs}"


def _workers(status: Status) -> Iterator[str]:
    orders = status.seen.orders
    if orders.paused or (orders.read, orders.write) != (RateOrder.DEFAULT, RateOrder.DEFAULT):
        yield from deaf(status)
    for worker in status.workers:
        if worker.alive is False and worker.row is not None:
            seen_ms = worker.row.seen_at_ms
            ago = f", last seen {time_text(max(0, status.seen.at_ms - seen_ms) / 1000)} ago" if seen_ms else ""
            yield f"the heartbeat row of {worker.worker} stands still{ago}: it was killed, or cannot write"


def deaf(status: Status) -> Iterator[str]:
    """One line for each worker that goes on whatever is ordered."""
    for worker in status.deaf:
        yield f"{worker.worker} obeys no orders (an older version, or a Java worker): update it, or stop it"


def _rows(status: Status) -> Iterator[str]:
    seen = status.seen
    for key in sorted(seen.foreign_rows)[:_NAMED_MAX]:
        wrong = f"row {key} of the lease table is no lease ({seen.foreign_rows[key]})"
        yield f"{wrong}: mend it, or delete it if its key is no shard; it stops Java"
    if len(seen.foreign_rows) > _NAMED_MAX:
        yield f"{len(seen.foreign_rows) - _NAMED_MAX} more rows of the lease table are no leases"
    yield from seen.unread


def _owners(status: Status, shards: Sequence[ShardStatus]) -> str:
    owners = list(dict.fromkeys(shard.owner for shard in shards if shard.owner is not None))
    processes = [(owner, status.process_of(owner)) for owner in owners[:_NAMED_MAX]]
    named = [f"process {known[1]} on {known[0]}" if known is not None else owner for owner, known in processes]
    more = f" and {len(owners) - _NAMED_MAX} more" if len(owners) > _NAMED_MAX else ""
    return ", ".join(named) + more


def _named(shards: Sequence[ShardStatus]) -> str:
    first = ", ".join(shard.shard_id for shard in shards[:_NAMED_MAX])
    more = f" and {len(shards) - _NAMED_MAX} more" if len(shards) > _NAMED_MAX else ""
    return f"{first}{more} {'are' if len(shards) > 1 else 'is'}"
