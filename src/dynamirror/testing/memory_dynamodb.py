"""DynamoDB in memory, as it is on the wire: the JSON of a request in, status and JSON of the answer out.

Synchronous, at once, and always up; whoever calls it adds latency and faults. Streams, indexes and transactions are
not simulated and are refused. Compared with DynamoDB Local on generated requests by tests/contract.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from dynamirror.model.key import Key
from dynamirror.testing.dynamodb import control
from dynamirror.testing.dynamodb.batches import batch_get_item, batch_write_item
from dynamirror.testing.dynamodb.conditions import Item
from dynamirror.testing.dynamodb.reads import Read, consistent, get_item, query, read_units, scan
from dynamirror.testing.dynamodb.refusal import Refusal, invalid, unreadable
from dynamirror.testing.dynamodb.request import NOT_SIMULATED
from dynamirror.testing.dynamodb.table import EventualReads, Table
from dynamirror.testing.dynamodb.writes import Watch, Written, delete_item, put_item, update_item

# Of the body of a request (Developer Guide, "BatchWriteItem": 16 MB).
REQUEST_BYTES_MAX = 16 * 1024 * 1024

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode

_READS: Mapping[str, Callable[[Table, dict[str, Any]], Read]] = {"GetItem": get_item, "Query": query, "Scan": scan}
_WRITES: Mapping[str, Callable[[Table, dict[str, Any], Watch], Written]] = {
    "PutItem": put_item,
    "UpdateItem": update_item,
    "DeleteItem": delete_item,
}


class Answer(NamedTuple):
    """An HTTP answer."""

    status: int
    body: bytes


def _nobody(table: str, key: Key, item: Item | None) -> None:
    """Nobody watches."""


class MemoryDynamoDB:
    """The tables of one account in one Region."""

    def __init__(
        self,
        on_write: Callable[[str, Key, Item | None], None] = _nobody,
        eventual: EventualReads | None = None,
        place: str = "us-east-1:000000000000",
    ) -> None:
        """`on_write` is told of each write right after it was applied: table, key, the item or None (deleted); also
        of a DeleteItem that found nothing. Without `eventual` all reads are consistent. `place`: Region and account.
        """
        self.tables: dict[str, Table] = {}
        self.on_write = on_write
        self.eventual = eventual
        self._place = place
        self._made = 0

    def answer(self, operation: str, body: bytes, unprocessed: int = 0) -> Answer:
        """Carry out one request, e.g. `PutItem`.

        `unprocessed`: of a batch, the last so many writes or keys come back as unprocessed, none of them applied.
        """
        try:
            if len(body) > REQUEST_BYTES_MAX:
                raise Refusal("RequestEntityTooLargeException", "the request is larger than 16 MB", status=413)
            return Answer(200, _encode(self._carry_out(operation, self._read(body), unprocessed)))
        except Refusal as refusal:
            return Answer(refusal.status, refusal.body)

    def items(self, table: str) -> dict[Key, Item]:
        """What stands in a table, by key value; for checks beside the wire."""
        return {key: stored.item for key, stored in self.tables[table].rows.items()}

    def _carry_out(self, operation: str, content: dict[str, Any], unprocessed: int) -> dict[str, Any]:
        _check_capacity_wanted(content)
        if operation in _WRITES:
            return self._write(operation, content)
        if operation in _READS:
            return self._get(operation, content)
        match operation:
            case "BatchWriteItem":
                answer, units = batch_write_item(self._table, content, self._watch, unprocessed)
            case "BatchGetItem":
                answer, units = batch_get_item(self._table, content, unprocessed)
            case "CreateTable":
                return self._create_table(content)
            case "DescribeTable":
                return {"Table": control.description(self._table_of(content))}
            case "DeleteTable":
                table = self._table_of(content)
                del self.tables[table.name]
                return {"TableDescription": {**control.description(table), "TableStatus": "DELETING"}}
            case _:
                raise Refusal("UnknownOperationException", f"{operation} is not simulated")
        if _shows_capacity(content):
            answer["ConsumedCapacity"] = [_capacity(name, amount, content) for name, amount in units.items()]
        return answer

    def _write(self, operation: str, content: dict[str, Any]) -> dict[str, Any]:
        table = self._table_of(content)
        answer, units = _WRITES[operation](table, content, self._watch(table.name))
        if _shows_capacity(content):
            answer["ConsumedCapacity"] = _capacity(table.name, units, content)
        return answer

    def _get(self, operation: str, content: dict[str, Any]) -> dict[str, Any]:
        table = self._table_of(content)
        read = _READS[operation](table, content)
        if _shows_capacity(content):
            units = read_units(read.size, consistent(content))
            read.answer["ConsumedCapacity"] = _capacity(table.name, units, content)
        return read.answer

    def _create_table(self, content: dict[str, Any]) -> dict[str, Any]:
        name = control.table_name(content)
        if name in self.tables:
            raise Refusal("ResourceInUseException", f"Table already exists: {name}")
        self._made += 1
        table = control.new_table(content, self._place, self._made, self.eventual)
        self.tables[name] = table
        return {"TableDescription": control.description(table)}

    def _table_of(self, content: dict[str, Any]) -> Table:
        for parameter in NOT_SIMULATED & content.keys():
            raise invalid(f"{parameter} is not simulated")
        return self._table(control.table_name(content))

    def _table(self, name: str) -> Table:
        table = self.tables.get(name.rpartition("/")[2])
        if table is None:
            raise Refusal("ResourceNotFoundException", "Requested resource not found")
        return table

    def _watch(self, table: str) -> Watch:
        return lambda key, item: self.on_write(table, key, item)

    def _read(self, body: bytes) -> dict[str, Any]:
        try:
            content = _decode(body)
        except msgspec.DecodeError as failure:
            raise unreadable(str(failure)) from failure
        if type(content) is not dict:
            raise unreadable("the request is no structure")
        return content


def _shows_capacity(content: dict[str, Any]) -> bool:
    return bool(content.get("ReturnConsumedCapacity", "NONE") != "NONE")


def _capacity(table: str, units: float, content: dict[str, Any]) -> dict[str, Any]:
    by_index = {"Table": {"CapacityUnits": units}} if content["ReturnConsumedCapacity"] == "INDEXES" else {}
    return {"TableName": table, "CapacityUnits": units, **by_index}


def _check_capacity_wanted(content: dict[str, Any]) -> None:
    wanted = content.get("ReturnConsumedCapacity", "NONE")
    if wanted not in ("NONE", "TOTAL", "INDEXES"):
        raise invalid(f"1 validation error detected: Value '{wanted}' at 'returnConsumedCapacity'")
