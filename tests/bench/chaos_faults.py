"""The faults of a chaos run: how often each strikes which operations, and which side is cut off for a while.

Answers (throttles and their like) are frequent; what leaves a write in doubt is rarer, since each such key waits for
35 s: at a few per cent every key would wait all the time, and nothing would be written that could go wrong.
"""

import asyncio
import random

from tests.bench.faults import FaultPlan, Kind

READS = ("GetRecords", "GetShardIterator", "DescribeStream")
LEASES = ("GetItem", "PutItem", "UpdateItem", "DeleteItem", "Scan", "Query", "BatchGetItem")
LATE_RATE = 0.01

_WRITE_RATES = {
    Kind.THROTTLE: 0.06,
    Kind.UNPROCESSED: 0.08,
    Kind.INTERNAL_ERROR: 0.003,
    Kind.INTERNAL_ERROR_APPLIED: 0.003,
    Kind.UNAVAILABLE: 0.003,
    Kind.EXPIRED: 0.01,
    Kind.RESET_BEFORE: 0.003,
    Kind.RESET_AFTER: 0.003,
    Kind.HANG: 0.001,
    Kind.HANG_APPLIED: 0.001,
    Kind.DRIP: 0.002,
    Kind.TRUNCATED: 0.002,
    Kind.CORRUPT: 0.003,
    Kind.HTML: 0.003,
}
_READ_RATES = {
    Kind.THROTTLE: 0.03,
    Kind.INTERNAL_ERROR: 0.005,
    Kind.UNAVAILABLE: 0.002,
    Kind.EXPIRED: 0.002,
    Kind.RESET_BEFORE: 0.005,
    Kind.RESET_AFTER: 0.005,
    Kind.HANG: 0.001,
    Kind.DRIP: 0.001,
    Kind.TRUNCATED: 0.005,
    Kind.CORRUPT: 0.005,
    Kind.HTML: 0.005,
}
_LEASE_RATES = {
    Kind.THROTTLE: 0.02,
    Kind.INTERNAL_ERROR: 0.005,
    Kind.INTERNAL_ERROR_APPLIED: 0.005,
    Kind.RESET_BEFORE: 0.005,
    Kind.RESET_AFTER: 0.005,
    Kind.HANG: 0.001,
    Kind.HANG_APPLIED: 0.001,
    Kind.DRIP: 0.001,
    Kind.CORRUPT: 0.005,
    Kind.HTML: 0.005,
}


def add_faults(faults: FaultPlan, late_writes: bool) -> None:
    """Put the rules in force."""
    if late_writes:
        faults.add(Kind.LATE, ["BatchWriteItem"], rate=LATE_RATE)
    sides = ((["BatchWriteItem"], _WRITE_RATES), (READS, _READ_RATES), (LEASES, _LEASE_RATES))
    for operations, rates in sides:
        for kind, rate in rates.items():
            faults.add(kind, operations, rate=rate)


class Partitions:
    """Every now and then one side is out of reach: stream, destination, or the tables of leases and state."""

    def __init__(self, faults: FaultPlan, rng: random.Random) -> None:
        self._faults = faults
        self._random = rng

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(self._random.uniform(10.0, 25.0))
            operations = self._random.choice((READS, ("BatchWriteItem",), LEASES))
            self._faults.partition(self._random.uniform(1.0, 8.0), operations)
