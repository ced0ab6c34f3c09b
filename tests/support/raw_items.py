"""A table of DynamoDB Local past botocore, which takes longer to read 40,000 items than the database does.

Items stay the JSON that they came as; only those that differ by a byte are looked into.
"""

import http.client
from base64 import b64encode
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import msgspec

from tests.support.items import Item, comparable

_BATCH = 25


class _Key(msgspec.Struct):
    s: str = msgspec.field(name="S")


class _Item(msgspec.Struct):
    pk: _Key


class _Page(msgspec.Struct):
    items: list[msgspec.Raw] = msgspec.field(name="Items")
    last_key: msgspec.Raw = msgspec.field(name="LastEvaluatedKey", default=msgspec.Raw())


_item = msgspec.json.Decoder(_Item).decode
_page = msgspec.json.Decoder(_Page).decode
_encode = msgspec.json.Encoder(enc_hook=lambda data: b64encode(data).decode()).encode


class RawTable:
    """One table with hash key `pk` (S). `place`: access key of the database, and Region."""

    def __init__(self, url: str, place: tuple[str, str], name: str) -> None:
        self.name = name
        self._host = url.removeprefix("http://")
        access_key, region = place
        # DynamoDB Local looks at the scope only.
        scope = f"Credential={access_key}/20250101/{region}/dynamodb/aws4_request"
        self._authorization = f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0"

    def ask(self, operation: str, request: Any) -> bytes:
        """The answer's body. Raises AssertionError when it is refused."""
        headers = {
            "X-Amz-Target": f"DynamoDB_20120810.{operation}",
            "X-Amz-Date": "20250101T000000Z",
            "Content-Type": "application/x-amz-json-1.0",
            "Authorization": self._authorization,
        }
        with closing(http.client.HTTPConnection(self._host, timeout=60)) as connection:
            connection.request("POST", "/", _encode(request), headers)
            response = connection.getresponse()
            body = response.read()
        assert response.status == 200, f"{operation} on {self.name}: {body[:500].decode()}"
        return body

    def put(self, items: Sequence[Item]) -> None:
        """BatchWriteItem, as often as it takes."""
        for first in range(0, len(items), _BATCH):
            puts = [{"PutRequest": {"Item": item}} for item in items[first : first + _BATCH]]
            answer = msgspec.json.decode(self.ask("BatchWriteItem", {"RequestItems": {self.name: puts}}))
            assert not answer["UnprocessedItems"]

    def page(self, **request: Any) -> tuple[dict[str, msgspec.Raw], msgspec.Raw]:
        """One answer to Scan: its items by key, and where to go on (empty: at the end)."""
        page = _page(self.ask("Scan", {"TableName": self.name, "ConsistentRead": True, **request}))
        return {_item(item).pk.s: item for item in page.items}, page.last_key

    def items(self) -> dict[str, msgspec.Raw]:
        """Every item by its key."""
        found, last_key = self.page()
        while bytes(last_key):
            more, last_key = self.page(ExclusiveStartKey=last_key)
            found |= more
        return found


def different(one: RawTable, other: RawTable) -> list[str]:
    """The keys whose items are not the same at both, or only at one; numbers compare by value, sets without order."""
    here, there = one.items(), other.items()
    return sorted(key for key in here.keys() | there.keys() if not _same(here.get(key), there.get(key)))


def _same(one: msgspec.Raw | None, other: msgspec.Raw | None) -> bool:
    if one is None or other is None:
        return False
    if bytes(one) == bytes(other):
        return True
    here, there = (comparable({"M": msgspec.json.decode(raw)}) for raw in (one, other))
    return bool(here == there)
