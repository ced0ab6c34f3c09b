"""Listings with their pages and their faults, iterators, pages of records."""

from typing import Any

import pytest

from dynamirror.aws.streams import LISTING_TRIES_MAX, DynamoDBStream
from dynamirror.errors import AccessDenied, NotFound, Retry, Side, Stop, Throttled, Unanswered
from dynamirror.model.shard_graph import Shard
from tests.support.script import ScriptedCaller

ARN = "arn:aws:dynamodb:us-east-1:1:table/T/stream/1"


class Naps:
    """A sleep that takes no time and is remembered."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    async def __call__(self, delay_s: float) -> None:
        self.taken.append(delay_s)


def stream(*answers: Any) -> tuple[ScriptedCaller, DynamoDBStream, Naps]:
    caller, naps = ScriptedCaller(*answers), Naps()
    return caller, DynamoDBStream(caller, ARN, sleep=naps), naps


def shard(shard_id: str, parent: str | None = None, last: str | None = None) -> Any:
    sequence_range = {"StartingSequenceNumber": "1"} | ({"EndingSequenceNumber": last} if last else {})
    return {"ShardId": shard_id, "SequenceNumberRange": sequence_range} | ({"ParentShardId": parent} if parent else {})


def page(*shards: Any, last: str | None = None, status: str = "ENABLED") -> Any:
    described = {"StreamStatus": status, "Shards": list(shards)} | ({"LastEvaluatedShardId": last} if last else {})
    return {"StreamDescription": described}


THROTTLED = Throttled(Side.SOURCE, "slow down")
REFUSED = Stop(Side.SOURCE, "unknown parameter")


async def test_all_pages_are_listed_at_ten_a_second_and_later_pages_win() -> None:
    first = page(shard("a"), shard("b", "a"), last="b")
    caller, it, naps = stream(first, page(shard("a", last="9"), shard("c", "a")))
    listing = await it.list_shards()
    assert listing.enabled
    assert listing.shards == (Shard("a", None, "1", "9"), Shard("b", "a", "1"), Shard("c", "a", "1"))
    assert caller.asked == [
        ("DescribeStream", {"StreamArn": ARN}),
        ("DescribeStream", {"StreamArn": ARN, "ExclusiveStartShardId": "b"}),
    ]
    assert naps.taken == [0.1]


async def test_an_empty_page_in_the_middle_is_not_the_end() -> None:
    _, it, _ = stream(page(shard("a"), last="a"), page(last="b"), page(shard("c")))
    assert [each.id for each in (await it.list_shards()).shards] == ["a", "c"]


@pytest.mark.parametrize("status,enabled", [("ENABLING", True), ("DISABLING", False), ("DISABLED", False)])
async def test_the_status_is_told(status: str, enabled: bool) -> None:
    _, it, _ = stream(page(shard("a"), status=status))
    assert (await it.list_shards()).enabled is enabled


async def test_a_listing_in_circles_ends() -> None:
    _, it, _ = stream(page(last="a"), page(last="b"), page(last="a"))
    with pytest.raises(Retry, match="in circles"):
        await it.list_shards()


async def test_a_throttled_page_is_asked_again_instead_of_the_whole_listing() -> None:
    caller, it, _ = stream(page(shard("a"), last="a"), THROTTLED, THROTTLED, page(shard("b")))
    assert [each.id for each in (await it.list_shards()).shards] == ["a", "b"]
    assert len(set(caller.bodies[1:])) == 1


async def test_a_page_throttled_for_ever_is_given_up() -> None:
    caller, it, _ = stream(page(shard("a"), last="a"), *[THROTTLED] * LISTING_TRIES_MAX)
    with pytest.raises(Throttled):
        await it.list_shards()
    assert len(caller.asked) == 1 + LISTING_TRIES_MAX


async def test_children_come_from_one_filtered_call() -> None:
    caller, it, _ = stream(page(shard("b", "a"), shard("c", "a")))
    assert [each.id for each in await it.list_children("a")] == ["b", "c"]
    assert caller.requests == [{"StreamArn": ARN, "ShardFilter": {"Type": "CHILD_SHARDS", "ShardId": "a"}}]


async def test_a_filter_that_is_ignored_is_not_used_again() -> None:
    everything = page(shard("a", last="9"), shard("b", "a"))
    caller, it, _ = stream(everything, everything)
    for _ in range(2):
        assert [each.id for each in await it.list_children("a")] == ["b"]
    assert ["ShardFilter" in request for request in caller.requests] == [True, False]


async def test_a_filter_that_is_refused_is_not_used_again() -> None:
    everything = page(shard("a", last="9"), shard("b", "a"))
    caller, it, _ = stream(REFUSED, everything, everything)
    for _ in range(2):
        assert [each.id for each in await it.list_children("a")] == ["b"]
    assert ["ShardFilter" in request for request in caller.requests] == [True, False, False]


async def test_a_trimmed_parent_does_not_switch_the_filter_off() -> None:
    missing = NotFound(Side.SOURCE, "no such shard")
    caller, it, _ = stream(missing, page(shard("b", "a")), page(shard("d", "c")))
    assert [each.id for each in await it.list_children("a")] == ["b"]
    assert [each.id for each in await it.list_children("c")] == ["d"]
    assert ["ShardFilter" in request for request in caller.requests] == [True, False, True]


async def test_a_filter_without_the_right_to_list_is_an_error() -> None:
    _, it, _ = stream(AccessDenied(Side.SOURCE, "dynamodb:DescribeStream"))
    with pytest.raises(AccessDenied):
        await it.list_children("a")


@pytest.mark.parametrize(
    "checkpoint,where",
    [
        ("TRIM_HORIZON", {"ShardIteratorType": "TRIM_HORIZON"}),
        ("LATEST", {"ShardIteratorType": "LATEST"}),
        ("123", {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": "123"}),
    ],
)
async def test_an_iterator_stands_right_after_the_checkpoint(checkpoint: str, where: dict[str, str]) -> None:
    caller, it, _ = stream({"ShardIterator": "i1"})
    assert await it.iterator_at("a", checkpoint) == "i1"
    assert caller.asked == [("GetShardIterator", {"StreamArn": ARN, "ShardId": "a", **where})]


async def test_nobody_reads_on_after_the_end() -> None:
    _, it, _ = stream()
    with pytest.raises(AssertionError):
        await it.iterator_at("a", "SHARD_END")


async def test_a_page_has_its_size_and_its_images_as_they_came() -> None:
    body = (
        b'{"NextShardIterator":"i2","Records":[{"eventName":"INSERT","dynamodb":{"Keys":{"id":{"S":"x"}},'
        b'"NewImage":{ "id":{"S":"x"}, "n":{"N":"1.50"}},"SequenceNumber":"7"}}]}'
    )
    caller, it, _ = stream(body)
    page_ = await it.read('i"1', 1000)
    assert caller.asked == [("GetRecords", {"ShardIterator": 'i"1', "Limit": 1000})]
    assert (page_.next_iterator, page_.size_bytes) == ("i2", len(body))
    assert bytes(page_.records[0].change.new_image) == b'{ "id":{"S":"x"}, "n":{"N":"1.50"}}'


async def test_marks_of_old_global_tables_are_left_out_of_images_when_asked_for() -> None:
    keys = b'{"pk":{"S":"a"}}'
    images = [b'{"aws:rep:deleting":{"BOOL":false},"pk":{"S":"a"},"n":{"N":"1.0"}}', b'{"pk" : {"S":"b"}}']
    put = b'{"eventName":"MODIFY","dynamodb":{"Keys":%s,"NewImage":%s,"SequenceNumber":"1"}}'
    removed = b'{"eventName":"REMOVE","dynamodb":{"Keys":%s,"SequenceNumber":"2"}}' % keys
    records = b",".join([*(put % (keys, image) for image in images), removed])
    answer = b'{"Records":[%s],"NextShardIterator":"it"}' % records
    page = await DynamoDBStream(ScriptedCaller(answer), ARN, drop_marks=True).read("it", 3)
    found = [bytes(record.change.new_image) for record in page.records]
    assert found == [b'{"pk":{"S":"a"},"n":{"N":"1.0"}}', images[1], b""]
    assert page.size_bytes == len(answer)
    page = await DynamoDBStream(ScriptedCaller(answer), ARN).read("it", 3)
    assert [bytes(record.change.new_image) for record in page.records] == [*images, b""]


async def test_the_end_of_a_shard_is_no_iterator() -> None:
    _, it, _ = stream({"Records": []}, {"Records": [], "NextShardIterator": None})
    for _ in range(2):
        assert (await it.read("i", 1)).next_iterator is None


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"ok": True},
        {"NextShardIterator": "i2"},
        {"Records": None},
        b'{"Records":[',
        b'{"Records":[],"NextShardIterator":"\xff"}',
    ],
)
async def test_a_page_that_does_not_name_its_records_is_none(answer: Any) -> None:
    """Without records and iterator it would be the end of the shard, with an iterator a page that is lost."""
    _, it, _ = stream(answer)
    with pytest.raises(Unanswered, match=r"^GetRecords at https://scripted.invalid/: the answer \("):
        await it.read("i", 1)


@pytest.mark.parametrize("described", [{}, {"Shards": []}, {"StreamStatus": "ENABLED"}])
async def test_a_listing_that_does_not_name_its_shards_is_none(described: Any) -> None:
    _, it, _ = stream({"StreamDescription": described})
    with pytest.raises(Unanswered, match=f"^DescribeStream of {ARN} at https://scripted.invalid/: "):
        await it.list_shards()


async def test_an_answer_without_the_iterator_is_none() -> None:
    _, it, _ = stream({})
    with pytest.raises(Unanswered, match=r"^GetShardIterator of a at 7, asked at https://scripted.invalid/: "):
        await it.iterator_at("a", "7")
