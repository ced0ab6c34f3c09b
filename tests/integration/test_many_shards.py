"""The many-shard stream of the bench behaves as the service's streams do, over the wire."""

import json
import time
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError

from tests.bench.answers import Refusal
from tests.bench.call import call_of
from tests.bench.faults import Kind
from tests.bench.harness import REGION, Bench, error_of, signed_post
from tests.bench.rolling import RollPlan
from tests.bench.shards import HASHES
from tests.bench.stream_service import StreamService
from tests.support.command import wait_until


class TestManyShards:
    def test_every_record_is_in_one_shard_in_order(self, bench: Bench) -> None:
        stream = bench.many(4)
        names = [f"key{n % 40}" for n in range(200)]
        bench.write(names, stream)
        shards = bench.listed()
        assert len(shards) == 4
        found = {shard_id: bench.drain(shard_id) for shard_id in shards}
        assert all(found.values()), "each shard has some"
        assert sum(map(len, found.values())) == 200
        for records in found.values():
            numbers = [int(number) for number, _ in records]
            assert numbers == sorted(set(numbers))
        keys = [{key for _, key in records} for records in found.values()]
        assert sum(map(len, keys)) == len(set().union(*keys)), "a key is in one shard only"

    def test_records_are_verbatim_but_for_their_number(self, bench: Bench) -> None:
        stream = bench.many(1)
        item: Any = {"n": {"N": "12345678901234567890123456789012345678"}, "m": {"M": {"SequenceNumber": {"S": "9"}}}}
        bench.put("a", bench.direct, **item)
        wait_until(lambda: stream.counts["records"] == 1, 10)
        [shard_id] = bench.listed()
        [ours] = bench.streams.get_records(ShardIterator=bench.iterator(shard_id))["Records"]
        streams = bench.local.client(bench.access_key, REGION, "dynamodbstreams")
        [shard] = streams.describe_stream(StreamArn=bench.arn)["StreamDescription"]["Shards"]
        place: Any = {"StreamArn": bench.arn, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        real = streams.get_records(ShardIterator=streams.get_shard_iterator(**place)["ShardIterator"])["Records"][0]
        assert ours["dynamodb"].pop("SequenceNumber") == real["dynamodb"].pop("SequenceNumber") + "000"
        assert ours == real

    def test_a_roll_and_a_split_keep_each_keys_order_down_the_lineage(self, bench: Bench) -> None:
        stream = bench.many(1)
        [root] = stream.open_shards()
        bench.write(["a", "b", "c"], stream)
        [child] = bench.thread.do(stream.roll, root)
        bench.write(["a", "b", "c"], stream)
        left, right = bench.thread.do(stream.split, child)
        bench.write([f"k{n}" for n in range(20)], stream)
        shards = bench.listed()
        assert [shards[s].get("ParentShardId") for s in (root, child, left, right)] == [None, root, child, child]
        ends = [shards[s]["SequenceNumberRange"] for s in (root, child, left, right)]
        assert [("EndingSequenceNumber" in end) for end in ends] == [True, True, False, False]
        assert ends[0]["EndingSequenceNumber"] < ends[1]["StartingSequenceNumber"]
        assert [key for _, key in bench.drain(root)] == ["a", "b", "c"]
        assert [key for _, key in bench.drain(child)] == ["a", "b", "c"]
        assert len(bench.drain(left)) + len(bench.drain(right)) == 20
        assert bench.drain(left)
        assert bench.drain(right)

    def test_a_closed_shard_ends_and_an_open_one_does_not(self, bench: Bench) -> None:
        stream = bench.many(1)
        [root] = stream.open_shards()
        bench.write(["a", "b"], stream)
        records, following = bench.read(bench.iterator(root))
        assert len(records) == 2
        assert following is not None
        [child] = bench.thread.do(stream.roll, root)
        assert bench.read(following) == ([], None)
        assert bench.read(bench.iterator(child))[1] is not None

    def test_pages_of_records_follow_the_limit(self, bench: Bench) -> None:
        stream = bench.many(1)
        [root] = stream.open_shards()
        bench.write(list("abcde"), stream)
        first, following = bench.read(bench.iterator(root), limit=2)
        assert following is not None
        rest, _ = bench.read(following)
        assert [key for _, key in first + rest] == list("abcde")
        assert error_of(lambda: bench.read(bench.iterator(root), limit=1001))[0] == "ValidationException"

    def test_pages_hold_a_megabyte(self, bench: Bench) -> None:
        stream = bench.many(1)
        [root] = stream.open_shards()
        for n in range(5):
            bench.put(f"k{n}", bench.direct, blob={"S": "x" * 300_000})
        wait_until(lambda: stream.counts["records"] == 5, 10)
        records, following = bench.read(bench.iterator(root))
        assert len(records) == 3
        assert following is not None
        assert len(bench.read(following)[0]) == 2

    def test_places_to_begin(self, bench: Bench) -> None:
        stream = bench.many(1)
        [root] = stream.open_shards()
        bench.write(list("abc"), stream)
        (_, _), (second, _), (_, _) = bench.read(bench.iterator(root))[0]
        at = bench.iterator(root, "AT_SEQUENCE_NUMBER", SequenceNumber=second)
        after = bench.iterator(root, "AFTER_SEQUENCE_NUMBER", SequenceNumber=second)
        latest = bench.iterator(root, "LATEST")
        stream.behaviour.readers_max = 9
        bench.write(["d"], stream)
        assert [[key for _, key in bench.read(place)[0]] for place in (at, after, latest)] == [
            ["b", "c", "d"],
            ["c", "d"],
            ["d"],
        ]
        for number in ("9" * 24, "0" * 24):
            place = {"kind": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": number}
            assert error_of(partial(bench.iterator, root, **place))[0] == "ValidationException"
        assert error_of(lambda: bench.iterator("shardId-00000000000000000001-00000000"))[0] == (
            "ResourceNotFoundException"
        )

    def test_listings_come_in_pages(self, bench: Bench) -> None:
        bench.many(7)
        seen: list[str] = []
        after: dict[str, str] = {}
        pages = 0
        while True:
            page = bench.streams.describe_stream(StreamArn=bench.arn, Limit=3, **after)["StreamDescription"]  # type: ignore[arg-type]
            seen += [shard["ShardId"] for shard in page["Shards"]]
            pages += 1
            if "LastEvaluatedShardId" not in page:
                break
            after = {"ExclusiveStartShardId": page["LastEvaluatedShardId"]}
        assert pages == 3
        assert seen == sorted(set(seen))
        assert len(seen) == 7
        assert (page["TableName"], page["StreamStatus"], page["KeySchema"][0]["AttributeName"]) == (
            "Orders",
            "ENABLED",
            "pk",
        )

    def test_children_can_be_asked_for(self, bench: Bench) -> None:
        stream = bench.many(2)
        parent = stream.open_shards()[0]
        children = bench.thread.do(stream.split, parent)
        target = "DynamoDBStreams_20120810.DescribeStream"
        wanted = {"StreamArn": bench.arn, "ShardFilter": {"Type": "CHILD_SHARDS", "ShardId": parent}}
        _, _, body = signed_post(bench.thread.url, bench.access_key, target, json.dumps(wanted).encode())
        assert [shard["ShardId"] for shard in json.loads(body)["StreamDescription"]["Shards"]] == children

    def test_listings_are_ten_a_second(self, bench: Bench) -> None:
        # On a clock of the test's own: a busy machine takes longer than a second for ten requests.
        now_s = 0.0
        service = StreamService(bench.many(1), {}, lambda: now_s)
        listing = call_of({"x-amz-target": "DynamoDBStreams_20120810.DescribeStream"}, b"{}")
        for _ in range(2):
            for _ in range(10):
                service.answer(listing)
            with pytest.raises(Refusal, match="ThrottlingException"):
                service.answer(listing)
            now_s += 1.0

    def test_a_listing_lags_hides_omits_and_repeats(self, bench: Bench) -> None:
        stream = bench.many(2)
        root, other = stream.open_shards()
        stream.behaviour.lag_s = 3600.0
        child = bench.thread.do(stream.roll, root)[0]
        assert set(bench.listed()) == {root, other}
        assert "EndingSequenceNumber" not in bench.listed()[root]["SequenceNumberRange"]
        stream.behaviour.lag_s = 0.0
        assert set(bench.listed()) == {root, other, child}
        stream.hidden.add(root)
        assert bench.listed()[child]["ParentShardId"] == root
        assert root not in bench.listed()
        stream.hidden.clear()
        stream.behaviour.omit_rate = 1.0
        assert len(bench.listed()) == 2
        stream.behaviour.omit_rate, stream.behaviour.repeat_rate = 0.0, 1.0
        page = bench.streams.describe_stream(StreamArn=bench.arn, ExclusiveStartShardId=root)["StreamDescription"]
        assert root in [shard["ShardId"] for shard in page["Shards"]]
        assert stream.counts["omitted"] == stream.counts["repeated"] == 1

    def test_iterators_expire(self, bench: Bench) -> None:
        stream = bench.many(1)
        iterator = bench.iterator(stream.open_shards()[0])
        stream.behaviour.iterator_life_s = 0.1
        time.sleep(0.15)
        assert error_of(lambda: bench.read(iterator))[0] == "ExpiredIteratorException"
        assert error_of(lambda: bench.read(f"bench|{bench.arn}|x"))[0] == "ValidationException"

    def test_what_is_trimmed_is_not_skipped_silently(self, bench: Bench) -> None:
        stream = bench.many(1)
        [root] = stream.open_shards()
        bench.write(list("abcd"), stream)
        old = bench.iterator(root)
        numbers = [number for number, _ in bench.read(old)[0]]
        bench.thread.do(stream.trim, root, keep=1)
        assert error_of(lambda: bench.read(old))[0] == "TrimmedDataAccessException"
        place = {"kind": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": numbers[0]}
        assert error_of(lambda: bench.iterator(root, **place))[0] == "TrimmedDataAccessException"
        assert [key for _, key in bench.read(bench.iterator(root))[0]] == ["d"]
        [child] = bench.thread.do(stream.roll, root)
        bench.thread.do(stream.trim_older, 0.0)
        assert list(bench.listed()) == [child]
        assert error_of(lambda: bench.iterator(root))[0] == "ResourceNotFoundException"
        assert bench.listed()[child]["ParentShardId"] == root

    def test_a_third_reader_of_a_shard_is_refused(self, bench: Bench) -> None:
        stream = bench.many(2)
        stream.behaviour.reader_window_s = 60
        one, other = stream.open_shards()
        first, second, third = (bench.iterator(one) for _ in range(3))
        bench.read(first)
        _, following = bench.read(second)
        assert error_of(lambda: bench.read(third))[0] == "LimitExceededException"
        assert following is not None
        bench.read(following)
        bench.read(bench.iterator(other))
        stream.behaviour.reader_window_s = 0.1
        time.sleep(0.15)
        bench.read(third)

    def test_empty_pages_and_late_ends(self, bench: Bench) -> None:
        stream = bench.many(1)
        [root] = stream.open_shards()
        bench.write(["a"], stream)
        bench.thread.do(stream.send_empty_pages, root, 2)
        bench.thread.do(stream.roll, root)
        stream.behaviour.late_end_rate = 1.0
        iterator: str | None = bench.iterator(root)
        pages = []
        for _ in range(4):
            assert iterator is not None
            records, iterator = bench.read(iterator)
            pages.append(len(records))
        assert pages == [0, 0, 1, 0]
        stream.behaviour.late_end_rate = 0.0
        assert iterator is not None
        assert bench.read(iterator) == ([], None)

    def test_shards_end_on_a_schedule(self, bench: Bench) -> None:
        stream = bench.many(2)
        bench.thread.do(bench.proxy.roll, stream, RollPlan(0.05, split_chance=0.5, open_max=4))
        wait_until(lambda: stream.counts["closed"] >= 15, 10)
        assert stream.counts["splits"] == 2
        assert len(stream.open_shards()) == 4
        edges = sorted(stream.shard(shard_id).hashes for shard_id in stream.open_shards())
        assert edges[0][0] == 0
        assert edges[-1][1] == HASHES
        assert all(one[1] == other[0] for one, other in pairwise(edges))

    def test_a_stream_that_is_switched_off_ends(self, bench: Bench) -> None:
        stream = bench.many(2)
        bench.write(list("abc"), stream)
        bench.direct.update_table(TableName="Orders", StreamSpecification={"StreamEnabled": False})
        wait_until(lambda: not stream.enabled, 10)
        shards = bench.listed()
        assert len(shards) == 2
        assert sum(len(bench.drain(shard_id)) for shard_id in shards) == 3
        answer = bench.streams.describe_stream(StreamArn=bench.arn)
        assert answer["StreamDescription"]["StreamStatus"] == "DISABLED"

    def test_faults_strike_streams_too(self, bench: Bench) -> None:
        stream = bench.many(1)
        bench.faults.add(Kind.RESET_BEFORE, ["GetRecords"], ["Orders"], count=1)
        iterator = bench.iterator(stream.open_shards()[0])
        with pytest.raises(ConnectionClosedError):
            bench.read(iterator)
        [entry] = bench.journal.of("GetRecords", "Orders")
        assert (entry.fault, entry.call.shard) == ("reset-before", stream.open_shards()[0])
