"""What was asked of the bench, and what became of it: the facts that tests assert on."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from tests.bench.answers import Answer
from tests.bench.call import Call


class _ErrorName(msgspec.Struct):
    type: str = msgspec.field(name="__type", default="")


_error_name = msgspec.json.Decoder(_ErrorName).decode


@dataclass(slots=True)
class Entry:
    """One request. Times are of time.monotonic; `status` is 0 while, or because, there is no answer."""

    at_s: float
    call: Call
    # The kind of fault that struck it, or "".
    fault: str = ""
    status: int = 0
    # The error's name in the answer, without its namespace.
    error: str = ""
    # When DynamoDB Local (or the many-shard stream) had carried it out; None: never.
    performed_at_s: float | None = None
    ended_at_s: float | None = None

    @property
    def operation(self) -> str:
        """`BatchWriteItem` and so on."""
        return self.call.operation

    def answered(self, answer: Answer) -> None:
        """Note how the request was answered."""
        self.status = answer.status
        if answer.status != 200 and answer.body[:1] == b"{":
            self.error = _error_name(answer.body).type.rpartition("#")[2]


class Journal:
    """Every request since the start, in order of arrival. Read by other threads: entries are only ever appended."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def open(self, call: Call, at_s: float) -> Entry:
        """The entry of a request that has just arrived."""
        entry = Entry(at_s, call)
        self.entries.append(entry)
        return entry

    def of(self, operation: str, table: str | None = None) -> Iterator[Entry]:
        """The requests of one operation, on one table if named."""
        for entry in list(self.entries):
            if entry.operation == operation and table in (None, entry.call.table):
                yield entry

    def operations(self) -> Counter[str]:
        """How often each was asked for."""
        return Counter(entry.operation for entry in list(self.entries))

    def errors(self) -> Counter[str]:
        """How often each error was answered, injected ones included."""
        return Counter(entry.error for entry in list(self.entries) if entry.error)
