"""The Streams API in front of many shards: requests in, answers out. Streams it does not know are not its business."""

import json
from collections.abc import Callable
from typing import Any

import msgspec

from tests.bench.answers import Answer, answer, invalid, rate_exceeded
from tests.bench.call import OUR_ITERATOR, STREAMS_API, Call
from tests.bench.meter import Bucket
from tests.bench.shards import ManyShards

LISTINGS_PER_S = 10.0
LISTED_MAX = 100
RECORDS_MAX = 1000

_encode = msgspec.json.Encoder().encode


class StreamService:
    """One many-shard stream as the API shows it. `description` is DynamoDB Local's own, whose shards are replaced."""

    def __init__(self, stream: ManyShards, description: dict[str, Any], clock: Callable[[], float]) -> None:
        self.stream = stream
        self._description = description
        self._clock = clock
        # DescribeStream may be called ten times a second and stream, by all together.
        self._listings = Bucket(LISTINGS_PER_S, LISTINGS_PER_S, LISTINGS_PER_S, clock())

    def answers(self, call: Call) -> bool:
        """Whether the request is for this stream."""
        if call.api != STREAMS_API or call.stream != self.stream.arn:
            return False
        return call.operation in ("DescribeStream", "GetShardIterator") or (
            call.operation == "GetRecords" and OUR_ITERATOR.encode() in call.body
        )

    def answer(self, call: Call) -> Answer:
        """Carry it out. Raises Refusal."""
        request = json.loads(call.body)
        match call.operation:
            case "DescribeStream":
                return self._describe(request)
            case "GetShardIterator":
                kind, sequence = request.get("ShardIteratorType", ""), request.get("SequenceNumber")
                iterator = self.stream.iterator(call.shard, kind, sequence)
                return answer(_encode({"ShardIterator": iterator}))
            case _:
                return self._records(request)

    def _describe(self, request: dict[str, Any]) -> Answer:
        if self._listings.level(self._clock()) < 1:
            self.stream.counts["listings throttled"] += 1
            raise rate_exceeded()
        self._listings.tokens -= 1
        most = request.get("Limit", LISTED_MAX)
        if not 1 <= most <= LISTED_MAX:
            raise invalid(f"Limit cannot be greater than the maximum: {LISTED_MAX}")
        wanted = request.get("ShardFilter", {})
        if wanted and wanted.get("Type") != "CHILD_SHARDS":
            raise invalid(f"ShardFilter {wanted}")
        after = request.get("ExclusiveStartShardId", "")
        shards, last = self.stream.listing(after, most, wanted.get("ShardId"))
        status = "ENABLED" if self.stream.enabled else "DISABLED"
        described = {**self._description, "StreamStatus": status, "Shards": shards}
        if last is not None:
            described["LastEvaluatedShardId"] = last
        return answer(_encode({"StreamDescription": described}))

    def _records(self, request: dict[str, Any]) -> Answer:
        most = request.get("Limit", RECORDS_MAX)
        if not 1 <= most <= RECORDS_MAX:
            raise invalid(f"Limit should be less than or equal to {RECORDS_MAX}")
        records, following = self.stream.page(request["ShardIterator"], most)
        tail = b"" if following is None else b',"NextShardIterator":' + _encode(following)
        return answer(b'{"Records":[' + b",".join(records) + b"]" + tail + b"}")
