"""DynamoDB in memory: what simulations hang on to, hooks, lagging reads, pages, partial batches, and its caller.

That it answers like DynamoDB Local is shown by tests/contract/test_memory_dynamodb.py.
"""

import asyncio
from random import Random
from typing import Any

import msgspec
import pytest

from dynamirror.errors import ConditionFailed, ItemRefused, NotFound, Side, Stop, Throttled, Unanswered
from dynamirror.model.key import Key
from dynamirror.testing.dynamodb.table import EventualReads
from dynamirror.testing.faults import Fault, Line, Scripted
from dynamirror.testing.memory_dynamodb import MemoryDynamoDB
from dynamirror.testing.virtual_time import run_virtual
from tests.support.memory_asks import ONE, ask, get, key, put, update, with_table
from tests.support.memory_caller import MemoryCaller


class Writes:
    """All writes that were applied, in order."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, Key, Any]] = []

    def __call__(self, table: str, key: Key, item: Any) -> None:
        self.seen.append((table, key, item))


def test_each_write_is_told_with_its_key_by_value() -> None:
    writes = Writes()
    database = with_table(on_write=writes)
    put(database, 1, v=ONE)
    update(database, "SET v = :two", two={"N": "2.0"})
    ask(database, "DeleteItem", TableName="items", Key={"pk": {"S": "a"}, "sk": {"N": "1.00"}})
    assert writes.seen == [
        ("items", ("a", "1"), key(1) | {"v": ONE}),
        ("items", ("a", "1"), key(1) | {"v": {"N": "2"}}),
        ("items", ("a", "1"), None),
    ]
    assert database.items("items") == {}


def test_nothing_is_told_of_what_is_refused() -> None:
    writes = Writes()
    database = with_table(on_write=writes)
    missing: dict[str, Any] = {"TableName": "items", "ConditionExpression": "attribute_exists(pk)"}
    refused = [
        ask(database, "PutItem", Item=key(1), **missing),
        ask(database, "DeleteItem", Key=key(1), **missing),
        ask(database, "UpdateItem", Key=key(1), **missing),
    ]
    assert refused == ["ConditionalCheckFailedException"] * 3
    batch = [{"PutRequest": {"Item": key(1)}}, {"PutRequest": {"Item": {"pk": {"S": "a"}}}}]
    assert ask(database, "BatchWriteItem", RequestItems={"items": batch}) == "ValidationException"
    assert not writes.seen


def test_what_a_watcher_was_told_stays_as_it_was() -> None:
    writes = Writes()
    database = with_table(on_write=writes)
    put(database, 1, m={"M": {"deep": {"L": [ONE]}}})
    update(database, "SET m.deep[0] = :two", two={"N": "2"})
    assert [item["m"]["M"]["deep"]["L"] for _, _, item in writes.seen] == [[ONE], [{"N": "2"}]]


def test_the_last_writes_of_a_batch_come_back() -> None:
    database = with_table()
    batch = [{"PutRequest": {"Item": key(number)}} for number in range(3)] + [{"DeleteRequest": {"Key": key(9)}}]
    answer = ask(database, "BatchWriteItem", unprocessed=2, RequestItems={"items": batch})
    assert answer == {"UnprocessedItems": {"items": batch[2:]}}
    assert database.items("items").keys() == {("a", "0"), ("a", "1")}


def test_the_last_keys_of_a_batch_come_back_and_can_be_asked_for_again() -> None:
    database = with_table()
    for number in range(3):
        put(database, number, v=ONE, w=ONE)
    wanted = {"Keys": [key(number) for number in range(3)], "ConsistentRead": True, "ProjectionExpression": "sk, v"}
    answer = ask(database, "BatchGetItem", unprocessed=2, RequestItems={"items": wanted})
    assert answer["Responses"] == {"items": [{"sk": {"N": "0"}, "v": ONE}]}
    assert answer["UnprocessedKeys"] == {"items": wanted | {"Keys": [key(1), key(2)]}}
    again = ask(database, "BatchGetItem", RequestItems=answer["UnprocessedKeys"])
    assert [item["sk"]["N"] for item in again["Responses"]["items"]] == ["1", "2"]


@pytest.mark.parametrize("unprocessed", [2, 24])
def test_a_batch_of_which_nothing_can_be_done_is_throttled(unprocessed: int) -> None:
    database = with_table()
    writes = [{"PutRequest": {"Item": key(number)}} for number in range(2)]
    reads = {"Keys": [key(1), key(2)]}
    throttled = "ProvisionedThroughputExceededException"
    assert ask(database, "BatchWriteItem", unprocessed, RequestItems={"items": writes}) == throttled
    assert ask(database, "BatchGetItem", unprocessed, RequestItems={"items": reads}) == throttled
    assert not database.items("items")


class Lag:
    """Time by hand, and a lag that is given."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.lag_s = 0.0
        self.reads = EventualReads(lambda: self.now_s, lambda: self.lag_s, lag_max_s=1.0)


def scanned(database: MemoryDynamoDB, consistently: bool) -> list[str]:
    found = ask(database, "Scan", TableName="items", ConsistentRead=consistently)["Items"]
    return sorted(item["sk"]["N"] + item.get("v", {"S": ""})["S"] for item in found)


def test_a_lagging_read_sees_the_table_of_a_moment_ago() -> None:
    lag = Lag()
    database = with_table(eventual=lag.reads)
    put(database, 1, v={"S": "old"})
    put(database, 2)
    lag.now_s, lag.lag_s = 110.0, 0.5
    put(database, 1, v={"S": "new"})
    ask(database, "DeleteItem", TableName="items", Key=key(2))
    lag.now_s = 110.4
    put(database, 3)
    assert scanned(database, True) == ["1new", "3"]
    assert scanned(database, False) == ["1old", "2"]
    assert get(database, 1, False)["v"] == {"S": "old"}
    assert get(database, 2, False) is not None
    assert get(database, 3, False) is None
    queried = ask(
        database,
        "Query",
        TableName="items",
        KeyConditionExpression="pk = :a",
        ExpressionAttributeValues={":a": {"S": "a"}},
    )
    assert queried["Count"] == 2
    lag.now_s = 110.6
    assert scanned(database, False) == ["1new"]
    lag.now_s = 111.0
    assert scanned(database, False) == ["1new", "3"]


def test_no_read_lags_further_than_the_bound() -> None:
    lag = Lag()
    database = with_table(eventual=lag.reads)
    put(database, 1)
    lag.now_s, lag.lag_s = 101.1, 60.0
    assert get(database, 1, False) is not None


def test_partitions_lag_each_by_their_own_draw() -> None:
    draws = iter([0.0, 1.0])
    database = with_table(eventual=EventualReads(lambda: 100.5, lambda: next(draws)))
    put(database, 1, "a")
    put(database, 2, "b")
    # The newest write's partition draws first.
    assert scanned(database, False) == ["2"]


def test_without_a_lag_every_read_is_consistent() -> None:
    database = with_table()
    put(database, 1)
    assert get(database, 1, False) is not None


def test_segments_are_the_whole_table_once() -> None:
    database = with_table()
    for number in range(200):
        put(database, number % 3, f"p{number}")
    for segments in (1, 3, 7, 64):
        found = [
            item["pk"]["S"]
            for segment in range(segments)
            for item in ask(database, "Scan", TableName="items", TotalSegments=segments, Segment=segment)["Items"]
        ]
        assert sorted(found) == sorted(f"p{number}" for number in range(200))


def test_a_scan_goes_on_where_it_was_though_the_table_changes() -> None:
    """Deleting what was read last, or writing behind the scan, makes it neither skip nor repeat the rest."""
    rng = Random(7)
    database = with_table()
    for number in range(60):
        put(database, number % 4, f"p{number // 4}")
    steady = {(f"p{number // 4}", str(number % 4)) for number in range(60)}
    seen: list[tuple[str, str]] = []
    start: dict[str, Any] = {}
    while True:
        page = ask(database, "Scan", TableName="items", Limit=7, **start)
        seen += [(item["pk"]["S"], item["sk"]["N"]) for item in page["Items"]]
        if "LastEvaluatedKey" not in page:
            break
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
        ask(database, "DeleteItem", TableName="items", Key=page["LastEvaluatedKey"])
        put(database, rng.randrange(100, 200), f"p{rng.randrange(100)}")
    assert steady <= set(seen)
    assert len(seen) == len(set(seen))


def test_a_page_ends_after_one_megabyte() -> None:
    database = with_table()
    for number in range(5):
        put(database, number, blob={"S": "x" * 300_000})
    pages = [ask(database, "Scan", TableName="items")]
    pages.append(ask(database, "Scan", TableName="items", ExclusiveStartKey=pages[0]["LastEvaluatedKey"]))
    assert [page["Count"] for page in pages] == [4, 1]
    assert "LastEvaluatedKey" not in pages[1]


LOST = Unanswered(Side.DESTINATION, "lost")


def test_a_lost_request_meets_the_table_as_it_is_when_it_lands() -> None:
    async def main() -> Any:
        database = with_table()
        late = [Fault(LOST, lands_after_s=5.0), Fault(LOST, lands_after_s=6.0)]
        caller = MemoryCaller(Side.DESTINATION, database, Line(Scripted("PutItem", late)))
        free = {"TableName": "items", "ConditionExpression": "attribute_not_exists(pk)"}
        for number in (1, 2):
            with pytest.raises(Unanswered):
                await caller.call("PutItem", msgspec.json.encode({**free, "Item": key(number) | {"v": {"S": "late"}}}))
        put(database, 1, v={"S": "early"})
        assert get(database, 2) is None
        await asyncio.sleep(10)
        return get(database, 1)["v"], get(database, 2)["v"]

    assert run_virtual(main()) == ({"S": "early"}, {"S": "late"})


@pytest.mark.parametrize(
    "operation,request_,error",
    [
        ("GetItem", {"TableName": "none", "Key": key(1)}, NotFound),
        (
            "PutItem",
            {"TableName": "items", "Item": key(1), "ConditionExpression": "attribute_exists(pk)"},
            ConditionFailed,
        ),
        ("BatchWriteItem", {"RequestItems": {"items": [{"PutRequest": {"Item": {}}}]}}, Stop),
        (
            "BatchWriteItem",
            {"RequestItems": {"items": [{"PutRequest": {"Item": {**key(1), "a": {"S": "x" * 410_000}}}}]}},
            ItemRefused,
        ),
        ("BatchWriteItem", {"RequestItems": {"items": [{"PutRequest": {"Item": key(1)}}]}}, Throttled),
    ],
)
def test_refusals_become_the_errors_of_the_house(operation: str, request_: Any, error: type[Exception]) -> None:
    async def main() -> None:
        line = Line(Scripted("BatchWriteItem", [Fault(unprocessed=1)]), latency_s=0.01)
        await MemoryCaller(Side.DESTINATION, with_table(), line).call(operation, msgspec.json.encode(request_))

    with pytest.raises(error):
        run_virtual(main())
