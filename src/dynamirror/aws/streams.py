"""One DynamoDB stream: its shards, iterators and pages. Called by fleet/shards and follow/read.

Source of limits: DynamoDB Streams API reference; docs/LEASES.md has how listings go wrong.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from dynamirror.aws.wire import Caller, encode, read
from dynamirror.errors import AccessDenied, NotFound, Retry, Side, Stop, Throttled
from dynamirror.model.change import Page, decode_page
from dynamirror.model.lease import LATEST, SHARD_END, TRIM_HORIZON
from dynamirror.model.replica_marks import MARK, without_marks
from dynamirror.model.shard_graph import RETENTION_MS, Listing, Shard

# GetRecords, Limit.
RECORDS_MAX = 1000
# DescribeStream may be called 10 times a second for one stream, by all workers together.
LISTING_PAUSE_S = 0.1
# A throttled page of a listing is asked for again; a listing begun anew would never end on a stream of many shards.
LISTING_TRIES_MAX = 20
LISTING_RETRY_S = 1.0
# 100 shards a page; the largest streams known have some ten thousand.
LISTING_PAGES_MAX = 5000


class _Range(msgspec.Struct):
    first: str | None = msgspec.field(name="StartingSequenceNumber", default=None)
    last: str | None = msgspec.field(name="EndingSequenceNumber", default=None)


class _Shard(msgspec.Struct):
    id: str = msgspec.field(name="ShardId")
    parent_id: str | None = msgspec.field(name="ParentShardId", default=None)
    range: _Range = msgspec.field(name="SequenceNumberRange", default_factory=_Range)


class _Stream(msgspec.Struct):
    status: str = msgspec.field(name="StreamStatus")
    shards: list[_Shard] = msgspec.field(name="Shards")
    last_id: str | None = msgspec.field(name="LastEvaluatedShardId", default=None)


class _Description(msgspec.Struct):
    stream: _Stream = msgspec.field(name="StreamDescription")


class _Iterator(msgspec.Struct):
    iterator: str = msgspec.field(name="ShardIterator")


_description = msgspec.json.Decoder(_Description).decode
_iterator = msgspec.json.Decoder(_Iterator).decode


class DynamoDBStream:
    """A stream by its ARN, as `ports.ChangeStream`."""

    retention_ms = RETENTION_MS

    def __init__(
        self,
        caller: Caller,
        stream_arn: str,
        served_s: Callable[[], float] = lambda: 0.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        *,
        drop_marks: bool = False,
    ) -> None:
        """`served_s`: the service's clock as of its last answer; 0: not known. `drop_marks`: model/replica_marks."""
        self._caller = caller
        self._arn = stream_arn
        self._what_records = f"GetRecords at {caller.url}"
        self._served_s = served_s
        self._sleep = sleep
        self._decode_page = _page_without_marks if drop_marks else decode_page
        # DynamoDB Local 2.5.4 ignores the filter and others may refuse it; found out at the first use.
        self._filter_works = True

    async def list_shards(self) -> Listing:
        """See ports.ChangeStream. At most 10 pages a second; raises Retry for a listing that goes in circles."""
        return await self._listing({})

    async def list_children(self, parent_id: str) -> list[Shard]:
        """See ports.ChangeStream. One call where the service knows the CHILD_SHARDS filter, else a full listing."""
        found = await (self._filtered(parent_id) if self._filter_works else self.list_shards())
        return [shard for shard in found.shards if shard.parent_id == parent_id]

    async def iterator_at(self, shard_id: str, checkpoint: str) -> str:
        """See ports.ChangeStream."""
        assert checkpoint != SHARD_END, f"{shard_id} is finished: there is no place after its end"
        request = {"StreamArn": self._arn, "ShardId": shard_id}
        if checkpoint in (TRIM_HORIZON, LATEST):
            request["ShardIteratorType"] = checkpoint
        else:
            request |= {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": checkpoint}
        what = f"GetShardIterator of {shard_id} at {checkpoint}, asked at {self._caller.url}"
        answer = await self._caller.call("GetShardIterator", encode(request))
        return read(_iterator, answer, Side.SOURCE, what).iterator

    async def read(self, iterator: str, records_max: int) -> Page:
        """See ports.ChangeStream. `records_max` is 1 to 1000; the page is at most about 1 MB on the service."""
        assert 0 < records_max <= RECORDS_MAX, f"a page of {records_max} records"
        body = b'{"ShardIterator":' + encode(iterator) + b',"Limit":' + str(records_max).encode() + b"}"
        answer = await self._caller.call("GetRecords", body)
        page = read(self._decode_page, answer, Side.SOURCE, self._what_records)
        page.size_bytes = len(answer)
        page.served_s = self._served_s()
        return page

    async def _filtered(self, parent_id: str) -> Listing:
        """The children, or the full listing where the endpoint ignores or refuses the filter (from then on unused)."""
        try:
            found = await self._listing({"ShardFilter": {"Type": "CHILD_SHARDS", "ShardId": parent_id}})
        except NotFound:
            # The parent may be trimmed while the stream is not; the full listing tells.
            return await self.list_shards()
        except AccessDenied:
            raise
        except Stop:
            found = await self.list_shards()
            self._filter_works = False
            return found
        self._filter_works = all(shard.parent_id == parent_id for shard in found.shards)
        return found

    async def _listing(self, options: Mapping[str, Any]) -> Listing:
        request: dict[str, Any] = {"StreamArn": self._arn, **options}
        # By id: a page taken after a change may show a shard again, and later pages know more.
        shards: dict[str, Shard] = {}
        seen: set[str] = set()
        for page_number in range(LISTING_PAGES_MAX):
            if page_number:
                await self._sleep(LISTING_PAUSE_S)
            stream = await self._describe(request, tries=LISTING_TRIES_MAX if page_number else 1)
            shards |= {shard.id: _shard(shard) for shard in stream.shards}
            last_id = stream.last_id
            if last_id is None:
                return Listing(tuple(shards.values()), stream.status in ("ENABLED", "ENABLING"))
            if last_id in seen:
                raise Retry(Side.SOURCE, f"DescribeStream of {self._arn} goes in circles: {last_id} came twice")
            seen.add(last_id)
            request["ExclusiveStartShardId"] = last_id
        raise Stop(Side.SOURCE, f"DescribeStream of {self._arn}: more than {LISTING_PAGES_MAX} pages of shards")

    async def _describe(self, request: Mapping[str, Any], tries: int) -> _Stream:
        body = encode(request)
        what = f"DescribeStream of {self._arn} at {self._caller.url}"
        while True:
            tries -= 1
            try:
                answer = await self._caller.call("DescribeStream", body)
            except Throttled:
                if tries <= 0:
                    raise
                await self._sleep(LISTING_RETRY_S)
            else:
                return read(_description, answer, Side.SOURCE, what).stream


def _page_without_marks(answer: bytes) -> Page:
    page = decode_page(answer)
    if MARK in answer:
        for record in page.records:
            record.change.new_image = without_marks(record.change.new_image)
    return page


def _shard(shard: _Shard) -> Shard:
    return Shard(shard.id, shard.parent_id or None, shard.range.first, shard.range.last)
