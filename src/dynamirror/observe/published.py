"""What CloudWatch is told, under the names of KCL 1.7.5 and of dynamodb-cross-region-library 1.2.1.

KCL (ProcessTask) sends its figures with the dimensions Operation and ShardId; those of the library's emitter have none.
Here a shard is named on request only: each name of each shard is a metric of its own, which costs, and shards of a
stream live for hours. All shards together stand under Operation alone.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dynamirror.model.statistic import Datum, Statistic

OPERATION = ("Operation", "ProcessTask")
SHARD_ID = "ShardId"


@dataclass(frozen=True, slots=True)
class Published:
    """One metric of CloudWatch."""

    name: str
    unit: str
    # What our figure is multiplied with.
    times: int = 1


# By the names that are sampled (ports.MetricSink.sample).
OF_SHARDS: Mapping[str, Published] = {
    "records": Published("RecordsProcessed", "Count"),
    "bytes": Published("DataBytesProcessed", "Bytes"),
    "behind_s": Published("MillisBehindLatest", "Milliseconds", 1000),
}
# By the names of the counters of observe/metrics; nothing is sent of one that has not grown.
OF_COUNTERS: Mapping[str, Published] = {
    "changes_applied": Published("RecordsWritten", "Count"),
    "write_retries": Published("RecordsRetried", "Count"),
    "items_parked": Published("RecordsFailed", "Count"),
}


class Feed:
    """What was observed since it was last taken. Safe to call from any thread; bounded by the shards that are held."""

    def __init__(self, counter: Callable[[str], float], per_shard: bool) -> None:
        """`counter`: the value of a counter now."""
        self._counter = counter
        self._per_shard = per_shard
        self._lock = threading.Lock()
        # By name and shard; "": all of them.
        self._of_shards: dict[tuple[str, str], Statistic] = {}
        self._counted = {name: counter(name) for name in OF_COUNTERS}

    def sample(self, name: str, shard_id: str, value: float) -> None:
        """One observation. `name` of OF_SHARDS, else KeyError."""
        value *= OF_SHARDS[name].times
        with self._lock:
            for place in ("", shard_id) if self._per_shard else ("",):
                self._of_shards.setdefault((name, place), Statistic()).see(value)

    def take(self, at_s: float) -> list[Datum]:
        """All of it; the next observation begins anew. `at_s`: now, seconds since the epoch."""
        with self._lock:
            taken, self._of_shards = self._of_shards, {}
        data = []
        for (name, shard_id), statistic in taken.items():
            dimensions = (OPERATION, (SHARD_ID, shard_id)) if shard_id else (OPERATION,)
            data.append(Datum(OF_SHARDS[name].name, OF_SHARDS[name].unit, dimensions, statistic, at_s))
        for name, published in OF_COUNTERS.items():
            now = self._counter(name)
            grown, self._counted[name] = now - self._counted[name], now
            if grown:
                statistic = Statistic()
                statistic.see(grown * published.times)
                data.append(Datum(published.name, published.unit, (), statistic, at_s))
        return data
