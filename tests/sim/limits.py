"""What a worker keeps to at every step: its memory, its leases."""

import asyncio
from collections import Counter
from collections.abc import Collection

from dynamirror.engines.assemble import READS_AT_ONCE_MAX
from tests.sim.checks import Checks, Violated
from tests.sim.worker import Worker

# A worker may hear so late that a lease was lost, which has come back since. One that was handed over since it was
# looked at last may have come back by a take whose answer was lost.
KEPT_S = 20.0
# A write request of the simulated load, as bytes.
WRITE_BYTES_MAX = 100


def check_kept(worker: Worker, checks: Checks) -> None:
    """No lease is given up that nobody has taken."""
    now_s = asyncio.get_running_loop().time()
    before, worker.followed = worker.followed, worker.follows()
    kept_s, worker.looked_at_s = KEPT_S + now_s - worker.looked_at_s, now_s
    for name, shard_id in before - worker.followed:
        # One that it lost long ago may have been handed over to it again, and it may not have heard of that.
        if checks.handed_over(shard_id):
            continue
        if checks.owner(shard_id) == name and checks.owned_for_s(shard_id) > kept_s and shard_id in checks.unfinished():
            raise Violated(f"{name} no longer follows {shard_id}, and nobody has taken it")


def shared_out(workers: Collection[str], checks: Checks) -> bool:
    """Of workers that can ask each other none has two shards more than another."""
    owned = Counter(checks.owner(shard_id) for shard_id in checks.unfinished())
    shares = [owned[name] for name in workers]
    return max(shares) - min(shares) <= 1


def check_bounds(worker: Worker) -> None:
    """Memory: what one page more than the limit may bring, and no more."""
    write, applier = worker.write, worker.applier
    page_bytes = worker.read.batch_size * WRITE_BYTES_MAX
    if applier.requests > write.requests_in_flight_max:
        raise Violated(f"{worker.name} has {applier.requests} requests in flight")
    if applier._bytes > write.queue_bytes_max + READS_AT_ONCE_MAX * page_bytes:
        raise Violated(f"{worker.name} has accepted {applier._bytes} bytes")
    if worker.budget.used > worker.budget.bytes_max + READS_AT_ONCE_MAX * page_bytes:
        raise Violated(f"{worker.name} remembers {worker.budget.used} bytes")
