"""Parts of a batch: carried out in part, the rest handed back as the service does."""

from collections.abc import Callable, Collection, Iterator

import msgspec

from tests.bench.answers import Answer, answer
from tests.bench.call import Call

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_write_items = msgspec.json.Decoder(dict[str, list[msgspec.Raw]]).decode
_tables = msgspec.json.Decoder(dict[str, dict[str, msgspec.Raw]]).decode
_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode

# A table's elements: the requests of a BatchWriteItem, the keys of a BatchGetItem.
Elements = dict[str, list[msgspec.Raw]]


class Batch:
    """A BatchWriteItem or BatchGetItem taken apart. Elements are numbered through all its tables."""

    def __init__(self, call: Call) -> None:
        self._fields = _fields(call.body)
        self._reads = call.operation == "BatchGetItem"
        # What a BatchGetItem says beside the keys of a table: projection, consistency.
        self._options: dict[str, dict[str, msgspec.Raw]] = {}
        self.elements: Elements = {}
        items = bytes(self._fields["RequestItems"])
        if self._reads:
            for table, wanted in _tables(items).items():
                self.elements[table] = _list(wanted.pop("Keys"))
                self._options[table] = wanted
        else:
            self.elements = _write_items(items)

    def numbered(self) -> Iterator[tuple[str, msgspec.Raw]]:
        """Every element with its table, in the order of their numbers."""
        for table, elements in self.elements.items():
            for element in elements:
                yield table, element

    def body(self, kept: Collection[int]) -> bytes:
        """The request with these elements only."""
        return _encode({**self._fields, "RequestItems": msgspec.Raw(self._items(lambda number: number in kept))})

    def merged(self, got: Answer, kept: Collection[int]) -> Answer:
        """The answer to the whole: what DynamoDB Local said to the `kept` ones, the others unprocessed."""
        name, rest = "UnprocessedKeys" if self._reads else "UnprocessedItems", self._items(lambda n: n not in kept)
        fields = _fields(got.body)
        if name in fields and bytes(fields[name]) != b"{}":
            raise AssertionError(f"DynamoDB Local left {name} of its own")
        return answer(_encode({**fields, name: msgspec.Raw(rest)}))

    def _items(self, chosen: Callable[[int], bool]) -> bytes:
        number = 0
        parts: dict[str, object] = {}
        for table, elements in self.elements.items():
            part = [element for at, element in enumerate(elements, number) if chosen(at)]
            number += len(elements)
            if part:
                parts[table] = {**self._options[table], "Keys": part} if self._reads else part
        return _encode(parts)
