"""The JSON document of `dynamirror status`. Names are part of the interface; units stand last in them."""

from collections.abc import Mapping
from typing import Any

import msgspec

from dynamirror.model.failure import Failure
from dynamirror.model.orders import order_text
from dynamirror.model.status import CopyStatus, ShardStatus, Status, WorkerStatus
from dynamirror.model.status_warnings import warnings


def document(content: Mapping[str, Any], indented: bool = True) -> str:
    """As text; on one line where there are many documents."""
    encoded = msgspec.json.encode(content)
    return (msgspec.json.format(encoded) if indented else encoded).decode()


def no_task_json(lease_table: str) -> dict[str, Any]:
    """Of a task that is not there."""
    return {"task": {"lease_table": lease_table, "exists": False}}


def _failure(failure: Failure | None) -> dict[str, Any] | None:
    if failure is None:
        return None
    return {
        "worker": failure.worker,
        "host": failure.host,
        "pid": failure.pid,
        "at_ms": failure.at_ms,
        "exit_code": failure.exit_code,
        "why": failure.why,
    }


def status_json(status: Status) -> dict[str, Any]:
    """All that is known."""
    seen = status.seen
    return {
        "at_ms": seen.at_ms,
        "task": _task(status),
        "workers": [_worker(worker) for worker in status.workers],
        "shard_counts": {state.name.lower(): count for state, count in status.states.items()},
        "lag_max_ms": status.lag_ms,
        "shards": [_shard(shard) for shard in status.shards],
        "copies": [_copy(copied) for copied in status.copies],
        "parked_items": seen.parked,
        "gaps": [
            {
                "shard": gap.shard_id,
                "behind": gap.behind,
                "what": gap.what,
                "found_at_ms": gap.found_at_ms,
                "worker": gap.worker,
            }
            for gap in seen.gaps
        ],
        "duties": seen.duties,
        "last_failure": _failure(seen.failure),
        "orders": _orders(status),
        "rates": [
            {
                "worker": row.worker,
                "read_units_s": row.read.used_s,
                "read_limited": row.read.limited,
                "write_units_s": row.write.used_s,
                "write_limited": row.write.limited,
            }
            for row in seen.rates
        ],
        "changes_lost_from_ms": status.lost_from_ms,
        "warnings": warnings(status),
    }


def _task(status: Status) -> dict[str, Any]:
    task = status.seen.task
    return {
        "exists": True,
        "lease_table": task.lease_table,
        "state_table": task.state_table,
        "source_arn": task.source_arn or None,
        "destination_arn": task.destination_arn or None,
        "stream_arn": task.stream_arn or None,
        "stream_on": task.stream_on,
    }


def _orders(status: Status) -> dict[str, Any]:
    orders = status.seen.orders
    return {
        "count": orders.counter,
        "paused": orders.paused,
        "paused_at_ms": orders.paused_at_ms or None,
        "paused_by": orders.paused_by or None,
        "read_rate": order_text(orders.read),
        "write_rate": order_text(orders.write),
        "ordered_at_ms": orders.ordered_at_ms or None,
        "ordered_by": orders.ordered_by or None,
    }


def _worker(worker: WorkerStatus) -> dict[str, Any]:
    row = worker.row
    known = {"worker": worker.worker, "alive": worker.alive, "leases": worker.leases, "heartbeat": row is not None}
    if row is None:
        return known
    return known | {
        "host": row.host,
        "pid": row.pid,
        "version": row.version,
        "command": row.command or None,
        "seen_at_ms": row.seen_at_ms,
        "paused": bool(row.figures.get("paused")),
        "changes_applied": row.figures.get("changesApplied"),
        "items_copied": row.figures.get("itemsCopied"),
        "requests_in_flight": row.figures.get("requests"),
        "lag_p99_ms": row.figures.get("lagP99Ms"),
    }


def _shard(shard: ShardStatus) -> dict[str, Any]:
    return {
        "shard": shard.shard_id,
        "state": shard.state.name.lower(),
        "owner": shard.owner,
        "checkpoint": shard.checkpoint,
        "applied_to_ms": shard.applied_to_ms,
        "lag_ms": shard.lag_ms,
        "unmoved_s": shard.unmoved_s,
    }


def _copy(copied: CopyStatus) -> dict[str, Any]:
    copy, counts = copied.copy, copied.counts
    return {
        "phase": copy.phase.value,
        "at_rest": copied.at_rest,
        "began_at_ms": copy.began_ms,
        "segments": copy.segments,
        "segments_done": counts.done,
        "items_read": counts.read,
        "items_written": counts.written,
        "items_parked": counts.parked,
        "items_expected": copied.items or None,
        "bytes": counts.size_bytes,
        "left_s": copied.eta_s,
        "needs_verify": copy.needs_verify,
    }
