"""Item keys compared by value.

The service promises neither the order of the attributes inside `Keys` nor one spelling of a
number (`1`, `1.0` and `1E0` are the same key), so raw bytes cannot be compared. A `KeyCodec` reads
the key attributes out of any map of attribute values that holds them (`Keys`, an image, a request
echoed in `UnprocessedItems`) and skips everything else without building Python objects for it.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from hashlib import sha256
from typing import Any, TypeAlias

import msgspec

# The hash value, or (hash value, range value): strings, canonical by their type.
Key: TypeAlias = str | tuple[str, str]

# A DynamoDB number has at most 38 significant digits (Developer Guide, "Data types: Number").
_NUMBER = Context(prec=38)

# An attribute name may hold any character (Developer Guide, "Naming rules"); a field name of msgspec may not.
_AWKWARD = re.compile(r'["\\\x00-\x1f]')


@dataclass(frozen=True, slots=True)
class KeyAttribute:
    """One attribute of a key schema; `type` is `S`, `N` or `B`."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class KeySchema:
    """The primary key of a table: hash attribute, and range attribute where there is one."""

    hash: KeyAttribute
    range: KeyAttribute | None = None

    def __str__(self) -> str:
        parts = [f"{self.hash.name} ({self.hash.type}, hash)"]
        if self.range is not None:
            parts.append(f"{self.range.name} ({self.range.type}, range)")
        return ", ".join(parts)


def canonical_number(text: str) -> str:
    """One spelling for every spelling of the same number: plain digits, no exponent, no spare zeros."""
    if text.isdigit() and text.isascii() and (text[0] != "0" or text == "0"):
        return text
    number = Decimal(text)
    if not number:
        return "0"
    return format(number.normalize(_NUMBER), "f")


def short_number(text: str) -> str:
    """The number as short as it can be spelled, with an exponent where that helps; the service takes it."""
    return str(Decimal(text).normalize(_NUMBER))


def key_digest(key: Key) -> str:
    """A name of bounded length for an item: a key may have 3 KB, the id of a row 1 KB."""
    return sha256(msgspec.json.encode(key)).hexdigest()[:32]


def _decoder(attributes: Sequence[KeyAttribute]) -> Callable[[Any], Any]:
    """Decodes a map of attribute values into an object with `k0.v` (and `k1.v`): the key values, and nothing else."""
    values = [
        msgspec.defstruct(f"Value{i}", [("v", str)], rename={"v": a.type}, gc=False) for i, a in enumerate(attributes)
    ]
    fields = [(f"k{i}", value) for i, value in enumerate(values)]
    if any(_AWKWARD.search(a.name) for a in attributes):
        return _awkward_decoder(attributes, fields)
    names = {f"k{i}": a.name for i, a in enumerate(attributes)}
    return msgspec.json.Decoder(msgspec.defstruct("Keys", fields, rename=names, gc=False)).decode


def _awkward_decoder(attributes: Sequence[KeyAttribute], fields: Sequence[tuple[str, Any]]) -> Callable[[Any], Any]:
    """The same for attribute names that msgspec does not take as field names; slower."""
    keys = msgspec.defstruct("Keys", fields, gc=False)
    item = msgspec.json.Decoder(dict[str, msgspec.Raw])
    inner = [msgspec.json.Decoder(kind) for _, kind in fields]

    def decode(raw: bytes | msgspec.Raw) -> Any:
        found = item.decode(raw)
        for attribute in attributes:
            if attribute.name not in found:
                raise msgspec.ValidationError(f"Object missing required field `{attribute.name}`")
        return keys(*(decoder.decode(found[a.name]) for decoder, a in zip(inner, attributes, strict=True)))

    return decode


class KeyCodec:
    """Reads keys of one key schema; made once per table, called once per change."""

    def __init__(self, schema: KeySchema) -> None:
        self.schema = schema
        attributes = [schema.hash] if schema.range is None else [schema.hash, schema.range]
        self._decode = _decoder(attributes)
        self._hash_is_number = schema.hash.type == "N"
        self._range_is_number = schema.range is not None and schema.range.type == "N"
        self.of: Callable[[bytes | msgspec.Raw], Key] = self._pair if schema.range else self._single

    def _single(self, raw: bytes | msgspec.Raw) -> Key:
        """The key inside `raw`, a JSON map of attribute values. Raises msgspec.DecodeError when it is not there."""
        value: str = self._decode(raw).k0.v
        return canonical_number(value) if self._hash_is_number else value

    def _pair(self, raw: bytes | msgspec.Raw) -> Key:
        keys = self._decode(raw)
        first: str = keys.k0.v
        second: str = keys.k1.v
        if self._hash_is_number:
            first = canonical_number(first)
        if self._range_is_number:
            second = canonical_number(second)
        return first, second
