"""Source and destination of a run as the bench itself sees them: past the proxy, without faults."""

import json
from base64 import b64encode
from typing import Any

from tests.bench.call import TABLES_API
from tests.bench.upstream import Upstream
from tests.support.items import comparable

Json = dict[str, Any]


class DirectTable:
    """One table of DynamoDB Local with hash key `pk` (S). `place`: access key of the database, and Region."""

    def __init__(self, upstream: Upstream, place: tuple[str, str], name: str) -> None:
        self.name = name
        self._upstream = upstream
        self._place = place

    async def ask(self, operation: str, **request: Any) -> Json:
        """Carry out one request; binary values may be bytes. Raises AssertionError when it is refused."""
        body = json.dumps(request, default=lambda data: b64encode(data).decode()).encode()
        got = await self._upstream.ask(f"{TABLES_API}.{operation}", self._place, body)
        assert got.status == 200, f"{operation}: {got.body[:500].decode()}"
        answer: Json = json.loads(got.body)
        return answer

    async def batch(self, requests: list[Json]) -> None:
        """BatchWriteItem."""
        answer = await self.ask("BatchWriteItem", RequestItems={self.name: requests})
        assert not answer["UnprocessedItems"]

    async def put(self, item: Json) -> None:
        """PutItem."""
        await self.ask("PutItem", TableName=self.name, Item=item)

    async def present(self, keys: list[str]) -> set[str]:
        """Which of up to 100 keys are there."""
        wanted = {"Keys": [{"pk": {"S": key}} for key in keys], "ProjectionExpression": "pk", "ConsistentRead": True}
        answer = await self.ask("BatchGetItem", RequestItems={self.name: wanted})
        return {item["pk"]["S"] for item in answer["Responses"][self.name]}

    async def items(self) -> dict[str, Json]:
        """Every item by its key."""
        found: dict[str, Json] = {}
        more: Json = {}
        while True:
            page = await self.ask("Scan", TableName=self.name, ConsistentRead=True, **more)
            found |= {item["pk"]["S"]: item for item in page["Items"]}
            if "LastEvaluatedKey" not in page:
                return found
            more = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def differences(source: dict[str, Json], destination: dict[str, Json]) -> list[str]:
    """One line for each key whose items differ; numbers compare by value, sets without order."""
    found = []
    for key in sorted(source.keys() | destination.keys()):
        here, there = source.get(key), destination.get(key)
        if here == there:
            continue
        if here is None:
            found.append(f"{key}: only at the destination: {_short(there)}")
        elif there is None:
            found.append(f"{key}: missing at the destination: {_short(here)}")
        elif comparable({"M": here}) != comparable({"M": there}):
            found.append(f"{key}: source {_short(here)} destination {_short(there)}")
    return found


def _short(item: Json | None) -> str:
    serial = (item or {}).get("serial", {}).get("N", "?")
    return f"serial {serial}, {json.dumps(item)[:160]}"
