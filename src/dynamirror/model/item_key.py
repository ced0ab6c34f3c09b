"""Which item is meant: its key by value, and the key's attributes as they came."""

from dataclasses import dataclass, field

import msgspec
from msgspec import Raw

from dynamirror.model.change import Write
from dynamirror.model.diff import Item
from dynamirror.model.key import Key, KeyCodec, short_number

_decode_item = msgspec.json.Decoder(dict[str, dict[str, object]]).decode


@dataclass(frozen=True, slots=True)
class ItemKey:
    """Two are equal when their keys are the same by value, however their numbers are spelled."""

    key: Key
    # {"id": {"S": "x"}}: verbatim, since a canonical number may be spelled longer than the service takes.
    attributes: Item = field(compare=False)


class ItemKeys:
    """Makes ItemKeys of one key schema. Every method raises msgspec.DecodeError where a key attribute is missing."""

    def __init__(self, codec: KeyCodec) -> None:
        schema = codec.schema
        self._codec = codec
        self._attributes = [schema.hash] if schema.range is None else [schema.hash, schema.range]
        self._names = [attribute.name for attribute in self._attributes]

    def of(self, attributes: bytes | Raw) -> ItemKey:
        """The key inside a JSON map of attribute values: key attributes alone, or a whole image."""
        key = self._codec.of(attributes)
        found = _decode_item(attributes)
        return ItemKey(key, {name: found[name] for name in self._names})

    def of_key(self, key: Key) -> ItemKey:
        """The key by value; a number is spelled as short as it can be, which the service takes in every case."""
        values = [key] if isinstance(key, str) else key
        return ItemKey(
            key,
            {
                attribute.name: {attribute.type: short_number(value) if attribute.type == "N" else value}
                for attribute, value in zip(self._attributes, values, strict=True)
            },
        )

    def of_item(self, item: Item) -> ItemKey:
        """The key of a decoded item."""
        return self.of(msgspec.json.encode(item))

    def of_write(self, write: Write) -> ItemKey:
        """The key of the item that a BatchWriteItem request puts or deletes."""
        ((_, request),) = msgspec.json.decode(write.request, type=dict[str, dict[str, Raw]]).items()
        ((_, content),) = request.items()
        return self.of(content)
