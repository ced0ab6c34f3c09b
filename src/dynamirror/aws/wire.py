"""What the adapters of this room share: one call, JSON in and out, attribute values of control rows, pages.

Control rows (leases, state) are few and small, so they are plain dicts here; items of the replicated tables never are.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Protocol, TypeAlias, TypeVar

import msgspec

from dynamirror.errors import Side, Stop, Unanswered

# {"S": "text"}: one type name, one value; as the service sends it, so anything may stand in it.
Value: TypeAlias = Mapping[str, Any]
Row: TypeAlias = Mapping[str, Value]

# A table of control rows is far smaller (a Scan page has up to 1 MB); more pages mean that the service goes in circles.
PAGES_MAX = 10_000

encode = msgspec.json.Encoder().encode
# What a decoder raises: the form is another, the text is no UTF-8, a key that should be a number is none.
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, ArithmeticError)

T = TypeVar("T")


class Caller(Protocol):
    """One side's service: a signed POST, one attempt, errors already those of `errors.py` (aws/service)."""

    @property
    def url(self) -> str:
        """What is called; for messages."""

    async def call(self, operation: str, body: bytes) -> bytes:
        """The body of the answer to `operation`, e.g. `PutItem`."""


class Consumed(msgspec.Struct, rename="pascal"):
    """What the service charged for a table: only where it was asked for, and not by every service."""

    capacity_units: float


class RowsAnswer(msgspec.Struct):
    """A Scan or Query answer. Without `Items`, which the service always sends, a table would look empty."""

    items: list[msgspec.Raw] = msgspec.field(name="Items")
    last_key: msgspec.Raw = msgspec.field(name="LastEvaluatedKey", default=msgspec.Raw())


class RowAnswer(msgspec.Struct):
    """A GetItem answer; the service leaves `Item` out where there is no such row."""

    item: dict[str, dict[str, Any]] | None = msgspec.field(name="Item", default=None)


class NoRowAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """All that a GetItem answer without `Item` may hold."""

    item: None = msgspec.field(name="Item", default=None)
    capacity: msgspec.Raw = msgspec.field(name="ConsumedCapacity", default=msgspec.Raw())


_rows_answer = msgspec.json.Decoder(RowsAnswer).decode
_row = msgspec.json.Decoder(dict[str, dict[str, Any]]).decode
_row_answer = msgspec.json.Decoder(RowAnswer).decode
_no_row_answer = msgspec.json.Decoder(NoRowAnswer).decode


def s(text: str) -> Value:
    """A string attribute."""
    return {"S": text}


def n(number: float) -> Value:
    """A number attribute."""
    return {"N": str(number)}


def read(decode: Callable[[bytes], T], answer: bytes, side: Side, what: str) -> T:
    """`answer` decoded. Raises Unanswered when it is not the documented form: whether it was applied is unknown."""
    try:
        return decode(answer)
    except UNREADABLE as failure:
        raise Unanswered(side, f"{what}: the answer ({len(answer)} bytes) cannot be read: {failure}") from failure


async def get_row(caller: Caller, request: Mapping[str, Any], what: str) -> Row | None:
    """One consistent GetItem on a control table; None when there is no such row."""
    answer = await caller.call("GetItem", encode({**request, "ConsistentRead": True}))
    what = f"{what} at {caller.url}"
    row = read(_row_answer, answer, Side.STATE, what).item
    if row is None:
        # Somebody else's answer must not make a row look gone.
        read(_no_row_answer, answer, Side.STATE, what)
    return row


async def all_rows(caller: Caller, operation: str, request: Mapping[str, Any], what: str) -> AsyncIterator[Row]:
    """The rows of every page of a Scan or Query on a control table. Raises Stop when the pages never end."""
    async for raw in raw_rows(caller, operation, request, what):
        yield read_raw(caller, raw, what)


def read_raw(caller: Caller, raw: bytes, what: str) -> Row:
    """A row of `raw_rows`. Raises Unanswered when it is none."""
    return read(_row, raw, Side.STATE, f"{what} at {caller.url}, one of its rows")


async def raw_rows(caller: Caller, operation: str, request: Mapping[str, Any], what: str) -> AsyncIterator[bytes]:
    """As `all_rows`, each row as it was sent: for one that reads many again and again, few of which have changed."""
    body = dict(request)
    what = f"{what} at {caller.url}"
    for _ in range(PAGES_MAX):
        page = read(_rows_answer, await caller.call(operation, encode(body)), Side.STATE, what)
        for row in page.items:
            # A copy: what is kept of a row must not keep the whole page.
            yield bytes(row)
        if not bytes(page.last_key):
            return
        body["ExclusiveStartKey"] = page.last_key
    raise Stop(Side.STATE, f"{what}: still not at the end after {PAGES_MAX} pages; is this the right table?")
