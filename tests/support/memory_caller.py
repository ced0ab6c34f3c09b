"""One side's DynamoDB in memory, called like the real one: aws/wire's Caller over testing.MemoryDynamoDB."""

from collections.abc import Mapping

import msgspec

from dynamirror.aws.faults import fault_of, target_of
from dynamirror.errors import Side
from dynamirror.testing.faults import Fault, Line
from dynamirror.testing.memory_dynamodb import MemoryDynamoDB

URL = "https://memory.invalid/"


def create_table(database: MemoryDynamoDB, table: str, keys: Mapping[str, str]) -> None:
    """Create a table; `keys` maps one or two attribute names to their types, the hash key first."""
    request = {
        "TableName": table,
        "AttributeDefinitions": [{"AttributeName": n, "AttributeType": t} for n, t in keys.items()],
        "KeySchema": [{"AttributeName": n, "KeyType": role} for n, role in zip(keys, ("HASH", "RANGE"), strict=False)],
        "BillingMode": "PAY_PER_REQUEST",
    }
    answer = database.answer("CreateTable", msgspec.json.encode(request))
    assert answer.status == 200, answer.body


class MemoryCaller:
    """`wire.Caller`: one attempt over a line with its own latency and faults; refusals become errors of errors.py.

    A request that the line loses and lands later meets the tables as they are then, its condition included.
    """

    def __init__(self, side: Side, database: MemoryDynamoDB, line: Line | None = None) -> None:
        """Callers of several sides, or of several workers, may share a database, each with a line of its own."""
        self.side = side
        self.url = URL
        self.database = database
        self.line = line or Line()

    async def call(self, operation: str, body: bytes) -> bytes:
        """See wire.Caller. Raises what the line's faults say, too."""
        return await self.line.call(operation, lambda fault: self._answer(operation, body, fault))

    def _answer(self, operation: str, body: bytes, fault: Fault) -> bytes:
        answer = self.database.answer(operation, body, fault.unprocessed)
        if answer.status != 200:
            raise fault_of(self.side, operation, target_of(body), (URL, answer.status, answer.body))
        return answer.body


class DatedCaller(MemoryCaller):
    """One whose answers bring the service's time, as aws/service keeps it."""

    def __init__(self, side: Side, database: MemoryDynamoDB, now_s: float) -> None:
        super().__init__(side, database)
        self.now_s = now_s
        # 0: it has not said.
        self.served_s = 0.0

    async def call(self, operation: str, body: bytes) -> bytes:
        """See MemoryCaller."""
        answer = await super().call(operation, body)
        self.served_s = self.now_s
        return answer
