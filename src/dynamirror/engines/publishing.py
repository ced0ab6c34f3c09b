"""Publishes to CloudWatch, in a thread of its own: whatever becomes of it, replication does not wait for it.

The thread is a daemon, so that one which hangs hinders no end of the program.
"""

import logging
import threading
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from dynamirror.aws.cloudwatch import DATA_MAX, CloudWatch, NotPublished
from dynamirror.aws.endpoints import checked_url
from dynamirror.errors import Refused
from dynamirror.loops.log_limit import LogLimit
from dynamirror.model.statistic import Datum
from dynamirror.observe.metrics import Metrics
from dynamirror.observe.published import Feed
from dynamirror.ports import Clock
from dynamirror.settings.groups import CloudWatchSettings, TaskSettings

# KCL's metricsBufferTimeMillis.
EVERY_S = 10.0
# That wait for CloudWatch; beyond, the oldest are dropped. Some 6 MB.
WAITING_MAX = 20_000
LOG_EVERY_S = 600.0

log = logging.getLogger("dynamirror.cloudwatch")


class Publishes(Protocol):
    """What the thread sends with: aws/cloudwatch."""

    def put(self, data: Sequence[Datum]) -> None:
        """One request. Raises NotPublished."""


class Publisher:
    """`start` begins the thread, `stop` asks it for a last round. What is not published is counted and told."""

    def __init__(self, to: Publishes, metrics: Metrics, clock: Clock, *, per_shard: bool) -> None:
        self._to = to
        self._metrics = metrics
        self._clock = clock
        self._feed = Feed(metrics.value, per_shard)
        self._waiting: deque[Datum] = deque()
        self._log_limit = LogLimit(clock, LOG_EVERY_S)
        self._failing = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cloudwatch", daemon=True)

    def start(self) -> None:
        """Begin to observe and to publish."""
        self._metrics.feed = self._feed
        self._thread.start()

    def stop(self, within_s: float) -> None:
        """Publish what is left, then end; blocks for `within_s` at most, whatever CloudWatch does."""
        self._stopping.set()
        self._thread.join(within_s)

    def _run(self) -> None:
        stopping = False
        while not stopping:
            stopping = self._stopping.wait(EVERY_S)
            self.publish()

    def publish(self) -> None:
        """One round."""
        self._waiting.extend(self._feed.take(self._clock.wall_s()))
        self._drop(len(self._waiting) - WAITING_MAX)
        while self._waiting:
            batch = [self._waiting[n] for n in range(min(DATA_MAX, len(self._waiting)))]
            try:
                self._to.put(batch)
            except NotPublished as error:
                if not error.again:
                    self._drop(len(batch))
                self._failed(error)
                return
            for _ in batch:
                self._waiting.popleft()
            if self._failing:
                self._failing = False
                log.info("CloudWatch takes metrics again", extra={"event": "cloudwatch_again", "facts": {}})

    def _drop(self, count: int) -> None:
        """The oldest."""
        for _ in range(count):
            self._waiting.popleft()
        if count > 0:
            self._metrics.count("cloudwatch_dropped", count)

    def _failed(self, error: NotPublished) -> None:
        self._failing = True
        if not self._log_limit.allows():
            return
        waiting, dropped = len(self._waiting), int(self._metrics.value("cloudwatch_dropped"))
        log.warning(
            "metrics not published: %s; %d wait, %d were dropped; replication goes on",
            error,
            waiting,
            dropped,
            extra={"event": "cloudwatch_failed", "facts": {"waiting": waiting, "dropped": dropped}},
        )


def publisher(settings: CloudWatchSettings, task: TaskSettings, metrics: Metrics, clock: Clock) -> Publisher:
    """To the Region of the leases, as KCL does, under the lease table's name. Raises Refused (endpoint)."""
    try:
        endpoint = checked_url(settings.endpoint) if settings.endpoint is not None else None
    except Refused as failure:
        raise Refused(f"--cloudwatch-endpoint: {failure}") from failure
    to = CloudWatch(task.region, endpoint, task.lease_table)
    return Publisher(to, metrics, clock, per_shard=settings.per_shard)
