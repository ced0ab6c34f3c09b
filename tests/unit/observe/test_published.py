"""What is taken for CloudWatch: each observation once, under the names of the Java tool."""

from dynamirror.model.statistic import Datum
from dynamirror.observe.metrics import Metrics
from dynamirror.observe.published import Feed

OPERATION = ("Operation", "ProcessTask")


def by_series(data: list[Datum]) -> dict[tuple[str, tuple[tuple[str, str], ...]], tuple[int, float, float, float]]:
    found = {}
    for datum in data:
        statistic = datum.statistic
        found[datum.name, datum.dimensions] = (statistic.count, statistic.total, statistic.least, statistic.most)
    assert len(found) == len(data)
    return found


def metrics(per_shard: bool = False) -> tuple[Metrics, Feed]:
    sink = Metrics()
    sink.count("changes_applied", 7)
    sink.feed = Feed(sink.value, per_shard)
    return sink, sink.feed


def test_shards_are_summed_up_and_milliseconds_are_made_of_seconds() -> None:
    sink, feed = metrics()
    for shard, records, size, behind_s in (("a", 3, 900, 0.0), ("b", 0, 50, 2.5), ("a", 4, 100, 1.0)):
        sink.sample("records", shard, records)
        sink.sample("bytes", shard, size)
        sink.sample("behind_s", shard, behind_s)
    data = feed.take(5.0)
    assert {datum.at_s for datum in data} == {5.0}
    assert {datum.name: datum.unit for datum in data} == {
        "RecordsProcessed": "Count",
        "DataBytesProcessed": "Bytes",
        "MillisBehindLatest": "Milliseconds",
    }
    assert by_series(data) == {
        ("RecordsProcessed", (OPERATION,)): (3, 7, 0, 4),
        ("DataBytesProcessed", (OPERATION,)): (3, 1050, 50, 900),
        ("MillisBehindLatest", (OPERATION,)): (3, 3500, 0, 2500),
    }
    assert feed.take(6.0) == []


def test_each_shard_by_name_on_request() -> None:
    sink, feed = metrics(per_shard=True)
    sink.sample("records", "a", 3)
    sink.sample("records", "b", 5)
    assert by_series(feed.take(0)) == {
        ("RecordsProcessed", (OPERATION,)): (2, 8, 3, 5),
        ("RecordsProcessed", (OPERATION, ("ShardId", "a"))): (1, 3, 3, 3),
        ("RecordsProcessed", (OPERATION, ("ShardId", "b"))): (1, 5, 5, 5),
    }


def test_counters_tell_what_they_have_grown_by_and_have_no_dimensions() -> None:
    sink, feed = metrics()
    sink.count("changes_applied", 10)
    sink.count("items_parked")
    assert by_series(feed.take(0)) == {
        ("RecordsWritten", ()): (1, 10, 10, 10),
        ("RecordsFailed", ()): (1, 1, 1, 1),
    }
    sink.count("write_retries", 2)
    assert by_series(feed.take(0)) == {("RecordsRetried", ()): (1, 2, 2, 2)}
    assert feed.take(0) == []
