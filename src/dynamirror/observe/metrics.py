"""The figures of one worker: one table of names, each worker with a registry of its own.

Callers pass the short names through ports.MetricSink; what is exported bears the prefix `dynamirror_` and the
endings that Prometheus asks for.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from dynamirror.model.recent import Recent
from dynamirror.observe.published import OF_SHARDS, Feed

PREFIX = "dynamirror_"
# Seconds: from a fraction of a steady lag to the retention of a stream.
LAG_BUCKETS_S = (0.05, 0.1, 0.15, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600, 6 * 3600, 24 * 3600)


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure. `name` is what callers use."""

    name: str
    kind: Literal["counter", "gauge", "distribution"]
    help: str

    @property
    def exported(self) -> str:
        """The name that is scraped: counters end in `_total`, seconds are spelled out."""
        name = PREFIX + (self.name.removesuffix("_s") + "_seconds" if self.name.endswith("_s") else self.name)
        return f"{name}_total" if self.kind == "counter" else name


METRICS: tuple[Metric, ...] = (
    Metric("pages_read", "counter", "GetRecords answers received, empty ones included."),
    Metric("changes_read", "counter", "Stream records received, once for each time they are read."),
    Metric(
        "changes_applied",
        "counter",
        "Writes of changes durable at the destination; changes of one item that became one write count once.",
    ),
    Metric("changes_superseded", "counter", "Changes not written because a newer one of the same item was due."),
    Metric("batches_sent", "counter", "BatchWriteItem requests sent."),
    Metric("write_retries", "counter", "Writes that had to be sent again."),
    Metric("changes_doubtful", "counter", "Writes without an answer: their items wait until it can no longer land."),
    Metric(
        "changes_resent", "counter", "Writes sent a second time after a take-over, in case a late one landed on them."
    ),
    Metric("reconciled_items", "counter", "Items compared with the source and found, or made, the same."),
    Metric("reconcile_repairs", "counter", "Items written because they differed from the source."),
    Metric("items_copied", "counter", "Items of the copy durable at the destination."),
    Metric("copy_bytes", "counter", "Bytes of the copy's pages that are durable at the destination, as JSON."),
    Metric("read_units", "counter", "Read units that the copy was charged for at the source."),
    Metric(
        "write_units",
        "counter",
        "Write units charged for at the destination: of the copy, and with a limit (--max-write-rate, set-rate) or "
        "--http also of changes.",
    ),
    Metric(
        "write_throttles",
        "counter",
        "Requests to write changes or the copy that the destination answered with: not now.",
    ),
    Metric(
        "read_throttles",
        "counter",
        "Requests to read the stream or the copy's pages that the source answered with: not now.",
    ),
    Metric("items_parked", "counter", "Items that the destination refused and this worker parked."),
    Metric("parked", "gauge", "Items of the task that are parked, as this worker last read the state table."),
    Metric("gaps_open", "gauge", "Gaps of the stream that no comparison has closed yet, as this worker knows."),
    Metric("paused", "gauge", "1 while the operator has paused the task (dynamirror pause), as this worker knows."),
    Metric(
        "shards_unowned",
        "gauge",
        "Shards that nobody has taken for two minutes, or whose rows cannot be read, as the first worker sees it.",
    ),
    Metric("leases_held", "gauge", "Shards that this worker has now."),
    Metric("leases_taken", "counter", "Leases that this worker got, those of new shards included."),
    Metric("leases_lost", "counter", "Leases that another worker took from this one."),
    Metric("leases_released", "counter", "Leases that this worker gave up in order."),
    Metric("changes_held", "gauge", "Changes that wait while the table is copied."),
    Metric("problems", "gauge", "Why /healthz says 503: shards that are stuck, and what ails the worker; 0: healthy."),
    Metric("cloudwatch_dropped", "counter", "Data that were not published to CloudWatch, and will not be."),
    Metric(
        "behind_s",
        "gauge",
        "Age of the oldest change that is known and not durable, of the shard that is behind most; seconds by the "
        "service's clock.",
    ),
    Metric("lag_s", "distribution", "Age of a change, by the stream's time stamp, when it became durable."),
)
# Of the distribution lag_s, over the last minute: what an operator looks at first. NaN: nothing became durable.
QUANTILES = (
    (0.5, "lag_p50_s", "Half of what became durable in the last minute was not older."),
    (0.99, "lag_p99_s", "99 of 100 that became durable in the last minute were not older."),
)


class Metrics:
    """A ports.MetricSink on prometheus-client. Safe to call from any thread; a call takes about a microsecond.

    A name that the table lacks, or of another kind, is a KeyError: a slip in our code, which a test finds.
    """

    def __init__(self, boottime_s: Callable[[], float] = lambda: 0.0) -> None:
        """`boottime_s`: ports.Clock's; without it the last minute never ends."""
        self.registry = CollectorRegistry()
        # Where something is published (observe/published); set once, before the worker begins.
        self.feed: Feed | None = None
        self._boottime_s = boottime_s
        self._lags = Recent()
        self._lock = threading.Lock()
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._distributions: dict[str, Histogram] = {}
        for metric in METRICS:
            self._register(metric)
        for share, name, text in QUANTILES:
            self._register_quantile(share, Metric(name, "gauge", text))

    def count(self, name: str, amount: float = 1) -> None:
        """Add to a counter."""
        self._counters[name].inc(amount)

    def gauge(self, name: str, value: float) -> None:
        """Set a gauge."""
        self._gauges[name].set(value)

    def observe(self, name: str, value: float) -> None:
        """Add one observation to a distribution."""
        self._distributions[name].observe(value)
        if name == "lag_s":
            with self._lock:
                self._lags.see(value, self._boottime_s())

    def sample(self, name: str, shard_id: str, value: float) -> None:
        """See ports.MetricSink."""
        if self.feed is not None:
            self.feed.sample(name, shard_id, value)
        else:
            assert name in OF_SHARDS, name

    def value(self, name: str) -> float:
        """A counter's or gauge's value now; of a distribution the number of observations."""
        exported = _METRIC_OF_NAME[name].exported
        if name in self._distributions:
            exported += "_count"
        value = self.registry.get_sample_value(exported)
        assert value is not None
        return value

    def total(self, name: str) -> float:
        """The sum of a distribution's observations now."""
        value = self.registry.get_sample_value(_METRIC_OF_NAME[name].exported + "_sum")
        assert value is not None
        return value

    def _register_quantile(self, share: float, metric: Metric) -> None:
        def now() -> float:
            value = self.lag_s(share)
            return float("nan") if value is None else value

        Gauge(metric.exported, metric.help, registry=self.registry).set_function(now)

    def lag_s(self, share: float) -> float | None:
        """So large a share of what became durable in the last minute was not older; None: nothing did."""
        with self._lock:
            return self._lags.quantile(share, self._boottime_s())

    def _register(self, metric: Metric) -> None:
        match metric.kind:
            case "counter":
                self._counters[metric.name] = Counter(metric.exported, metric.help, registry=self.registry)
            case "gauge":
                self._gauges[metric.name] = Gauge(metric.exported, metric.help, registry=self.registry)
            case "distribution":
                self._distributions[metric.name] = Histogram(
                    metric.exported, metric.help, registry=self.registry, buckets=LAG_BUCKETS_S
                )


_METRIC_OF_NAME = {metric.name: metric for metric in METRICS}
