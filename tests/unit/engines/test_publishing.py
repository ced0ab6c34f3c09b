"""What waits for CloudWatch is bounded, sent once, and told of when it is lost; nobody waits for it."""

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

import pytest

from dynamirror.aws.cloudwatch import DATA_MAX, NotPublished
from dynamirror.engines import publishing
from dynamirror.engines.publishing import LOG_EVERY_S, Publisher
from dynamirror.model.statistic import Datum
from dynamirror.observe.metrics import Metrics
from dynamirror.observe.published import Feed
from dynamirror.testing.virtual_time import VirtualClock


class Service:
    """Takes what it is sent, unless `fails` says otherwise."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.written = 0.0
        self.fails: NotPublished | None = None
        self.hangs = threading.Event()
        self.hangs.set()

    def put(self, data: Sequence[Datum]) -> None:
        self.hangs.wait()
        if self.fails is not None:
            raise self.fails
        self.sizes.append(len(data))
        self.written += sum(datum.statistic.total for datum in data if datum.name == "RecordsWritten")


class Case:
    """A publisher that is not started, but asked for each round."""

    def __init__(self, per_shard: bool = False) -> None:
        self.metrics, self.to, self.clock = Metrics(), Service(), Clock()
        self.publisher = Publisher(self.to, self.metrics, self.clock, per_shard=per_shard)
        self.metrics.feed = self.publisher._feed

    def round(self, changes: int = 1) -> None:
        self.metrics.count("changes_applied", changes)
        self.publisher.publish()


class Clock(VirtualClock):
    """One that stands, unless it is moved."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def boottime_s(self) -> float:
        return self.now_s

    def wall_s(self) -> float:
        return self.now_s


def test_what_was_refused_for_now_is_sent_later_and_counted_once() -> None:
    case = Case()
    case.to.fails = NotPublished("throttled", again=True)
    for _ in range(5):
        case.round(10)
    case.to.fails = None
    case.round(10)
    assert case.to.sizes == [6]
    assert case.to.written == 60
    case.round(0)
    assert case.to.sizes == [6]
    assert case.metrics.value("cloudwatch_dropped") == 0


def test_what_may_have_been_counted_is_dropped_and_so_told() -> None:
    case = Case()
    case.to.fails = NotPublished("no answer", again=False)
    case.round(10)
    case.to.fails = None
    case.round(1)
    assert case.to.written == 1
    assert case.metrics.value("cloudwatch_dropped") == 1


def test_the_oldest_are_dropped_beyond_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "WAITING_MAX", 3)
    case = Case()
    case.to.fails = NotPublished("away", again=True)
    for changes in (1, 2, 4, 8, 16):
        case.round(changes)
    case.to.fails = None
    case.publisher.publish()
    assert case.to.written == 4 + 8 + 16
    assert case.metrics.value("cloudwatch_dropped") == 2


def test_requests_are_bounded() -> None:
    case = Case(per_shard=True)
    for n in range(2500):
        case.metrics.sample("records", f"s{n}", 1)
    case.publisher.publish()
    assert case.to.sizes == [DATA_MAX, DATA_MAX, 501]


def test_the_log_says_it_once_and_when_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    case = Case()
    case.to.fails = NotPublished("away", again=True)
    with caplog.at_level(logging.INFO, "dynamirror.cloudwatch"):
        for _ in range(50):
            case.clock.now_s += 10
            case.round()
        case.to.fails = None
        case.round()
        case.round()
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        "metrics not published: away; 1 wait, 0 were dropped; replication goes on",
        "CloudWatch takes metrics again",
    ]
    assert LOG_EVERY_S > 500


def test_nothing_of_it_is_imported_unless_it_is_wanted() -> None:
    script = """
import sys
import dynamirror.cli.replicate, dynamirror.engines.worker
print([name for name in sys.modules if name.endswith(("publishing", "cloudwatch", "observe.page"))])
"""
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_a_stop_publishes_what_is_left() -> None:
    metrics, to = Metrics(), Service()
    publisher = Publisher(to, metrics, Clock(), per_shard=False)
    publisher.start()
    metrics.count("changes_applied", 7)
    publisher.stop(10)
    assert to.written == 7
    assert isinstance(metrics.feed, Feed)


def test_a_stop_does_not_wait_for_a_service_that_hangs() -> None:
    metrics, to = Metrics(), Service()
    to.hangs.clear()
    publisher = Publisher(to, metrics, Clock(), per_shard=False)
    publisher.start()
    metrics.count("changes_applied")
    begun_s = time.monotonic()
    publisher.stop(0.2)
    assert time.monotonic() - begun_s < 5
    to.hangs.set()
