"""What `dynamirror status` prints: a page that fits a terminal, or one JSON document."""

from collections.abc import Iterator, Sequence

from dynamirror.cli.moments import instant, table_of
from dynamirror.model.orders import Ordered, RateOrder, order_text
from dynamirror.model.progress_text import size_text, time_text
from dynamirror.model.status import CopyStatus, ShardState, ShardStatus, Status, WorkerStatus
from dynamirror.model.status_warnings import warnings

# Shards that are listed where there is no terminal; the document has all.
SHARDS_MAX = 100
# What a page has beside them, about.
_OTHER_LINES = 16
_NAME_LENGTH_MAX = 28
_GRAVEST_FIRST = (
    ShardState.FREE,
    ShardState.OWNER_SILENT,
    ShardState.BEHIND_GAP,
    ShardState.READING,
    ShardState.WAITING,
)


def no_task(lease_table: str, region: str) -> str:
    """The line for a task that is not there."""
    return (
        f"There is no such task: neither a lease table {lease_table} nor a state table beside it in {region}. No "
        "worker of it has run, or --task-name, --kcl-region or both tables are not those of its workers."
    )


def page(status: Status, lines_max: int | None = None) -> str:
    """The page. `lines_max`: of the terminal; None: there is none."""
    shards_max = SHARDS_MAX if lines_max is None else max(3, lines_max - _OTHER_LINES - len(status.workers))
    found = warnings(status)
    parts = [
        "\n".join(_task(status)),
        "\n".join(_workers(status)),
        "\n".join(_shards(status, shards_max)),
        "\n".join(_rest(status)),
    ]
    if found:
        parts.append("\n".join(["Warnings", *(f"  ! {line}" for line in found)]))
    return "\n\n".join(part for part in parts if part)


def _task(status: Status) -> Iterator[str]:
    seen = status.seen
    task, orders = seen.task, seen.orders
    yield f"Task {task.lease_table}"
    if task.source_arn:
        yield f"  {table_of(task.source_arn)} -> {table_of(task.destination_arn)}"
    if task.stream_arn:
        state = {True: "on", False: "off, or no longer the table's", None: "not seen"}[task.stream_on]
        yield f"  stream {task.stream_arn.rpartition('/stream/')[2]}, {state}"
    if orders.paused:
        yield f"  PAUSED since {instant(orders.paused_at_ms)} by {orders.paused_by}{_resume_before(status)}"
    if RateOrder.DEFAULT is not orders.read or RateOrder.DEFAULT is not orders.write:
        yield f"  rates ordered: read {_rate_text(orders.read)}, write {_rate_text(orders.write)}"


def _resume_before(status: Status) -> str:
    lost_ms = status.lost_from_ms
    if lost_ms is None:
        return ""
    left_ms = max(0, lost_ms - status.seen.at_ms)
    return f"; resume before {instant(lost_ms)} ({time_text(left_ms / 1000)} left), or changes are lost"


def _rate_text(ordered: Ordered) -> str:
    if isinstance(ordered, RateOrder):
        return {RateOrder.DEFAULT: "as the workers' flags say", RateOrder.NONE: "without limit"}[ordered]
    text = order_text(ordered)
    return text if text.endswith("%") else f"{text} units/s"


def _workers(status: Status) -> Iterator[str]:
    if not status.workers:
        yield "Workers  none"
        return
    alive = sum(worker.alive is True for worker in status.workers)
    silent = sum(worker.alive is False for worker in status.workers)
    unknown = len(status.workers) - alive - silent
    counts = [f"{alive} alive", f"{silent} silent", f"{unknown} not known"]
    yield "Workers  " + ", ".join(count for count in counts if not count.startswith("0 ") or count == "0 alive")
    rows: list[tuple[str, ...]] = [("host", "pid", "version", "does", "alive", "seen", "leases", "applied", "lag p99")]
    rows += [_worker_row(status, worker) for worker in status.workers]
    yield from _columns(rows)


def _worker_row(status: Status, worker: WorkerStatus) -> tuple[str, ...]:
    now_ms = status.seen.at_ms
    alive = {True: "yes", False: "NO", None: "?"}[worker.alive]
    row = worker.row
    if row is None:
        return (_short(worker.worker), "", "", "Java, or no state", alive, "", str(worker.leases), "", "")
    does = f"{row.command or 'replicate'}{', paused' if row.figures.get('paused') else ''}"
    seen = "" if row.seen_at_ms is None else f"{time_text(max(0, now_ms - row.seen_at_ms) / 1000)} ago"
    applied, lag_ms = row.figures.get("changesApplied"), row.figures.get("lagP99Ms")
    return (
        _short(row.host if status.process_of(row.worker) is not None else row.worker),
        row.pid,
        row.version,
        does,
        alive,
        seen,
        str(worker.leases),
        "" if applied is None else f"{applied:,}",
        "" if lag_ms is None else _lag_text(lag_ms),
    )


def _shards(status: Status, shards_max: int) -> Iterator[str]:
    if not status.shards:
        yield "Shards   none yet"
        return
    counts = ", ".join(f"{count} {state.value}" for state, count in status.states.items() if count)
    lag = "" if status.lag_ms is None else f"; furthest behind {_lag_text(status.lag_ms)}"
    yield f"Shards   {counts}{lag}"
    unfinished = [shard for shard in status.shards if shard.state is not ShardState.FINISHED]
    unfinished.sort(key=lambda shard: (_GRAVEST_FIRST.index(shard.state), -(shard.lag_ms or 0), shard.shard_id))
    rows: list[tuple[str, ...]] = [("shard", "state", "owner", "lag", "checkpoint")]
    rows += [_shard_row(status, shard) for shard in unfinished[:shards_max]]
    yield from _columns(rows) if unfinished else ()
    if len(unfinished) > shards_max:
        yield f"  and {len(unfinished) - shards_max} more (--json has all)"


def _shard_row(status: Status, shard: ShardStatus) -> tuple[str, str, str, str, str]:
    lag = "" if shard.lag_ms is None else _lag_text(shard.lag_ms)
    owner = _process(status, shard.owner) if shard.owner else "-"
    return shard.shard_id, shard.state.value, owner, lag, shard.checkpoint


def _rest(status: Status) -> Iterator[str]:
    for copied in status.copies:
        yield f"Copy     {_copy_text(copied)}"
    seen = status.seen
    yield f"Parked   {seen.parked}    Open gaps {len(seen.gaps)}    To be reconciled {seen.duties}"
    for gap in seen.gaps:
        yield f"  gap found {instant(gap.found_at_ms)}: {gap}"
    for row in seen.rates:
        limited = [name for name, demand in (("read", row.read), ("write", row.write)) if demand.limited]
        waits = f", waits for its {' and '.join(limited)} limit" if limited else ""
        uses = f"{row.read.used_s:.0f} read, {row.write.used_s:.0f} write units/s"
        yield f"  {_process(status, row.worker)} uses {uses}{waits}"


def _copy_text(copied: CopyStatus) -> str:
    counts = copied.counts
    about = f" of about {copied.items:,}" if copied.items >= counts.written > 0 or copied.items else ""
    parts = [f"{copied.copy.phase.value}{' (at rest)' if copied.at_rest else ''}"]
    parts.append(f"{counts.done} of {copied.copy.segments} segments")
    parts += [f"{counts.written:,}{about} items", size_text(counts.size_bytes)]
    if copied.eta_s is not None:
        parts.append(f"about {time_text(copied.eta_s)} left")
    return ", ".join(parts)


def _columns(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    for row in rows:
        yield "  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()


def _short(name: str) -> str:
    """With its beginning and its end: of workers of one process start, and of one host, they differ there."""
    if len(name) <= _NAME_LENGTH_MAX:
        return name
    return f"{name[: _NAME_LENGTH_MAX - 13]}…{name[-12:]}"


def _process(status: Status, worker: str) -> str:
    """A worker by the same names as in the list of workers."""
    process = status.process_of(worker)
    return f"{_short(process[0])} {process[1]}" if process is not None else _short(worker)


def _lag_text(lag_ms: int) -> str:
    return f"{lag_ms / 1000:.1f} s" if lag_ms < 10_000 else time_text(lag_ms / 1000)
