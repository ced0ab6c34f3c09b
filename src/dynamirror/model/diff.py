"""Whether two items are the same, and where they are not.

Items are JSON as the service sends it, decoded: `{"name": {"S": "x"}}`. Numbers compare by value (`1` is
`1.0`), sets without order, everything else exactly.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias

from dynamirror.model.key import Key, canonical_number

# {"S": "text"}: one type name, one value.
AttributeValue: TypeAlias = Mapping[str, Any]
Item: TypeAlias = Mapping[str, AttributeValue]


class Kind(Enum):
    """How one key differs; the value is the word used in messages."""

    MISSING = "missing at the destination"
    EXTRA = "only at the destination"
    CHANGED = "differs"


@dataclass(frozen=True, slots=True)
class Difference:
    """One key that is not the same on both sides. `path`: the first attribute that differs (CHANGED only)."""

    kind: Kind
    key: Key
    path: str = ""

    def __str__(self) -> str:
        key = self.key if isinstance(self.key, str) else " / ".join(self.key)
        return f"{key}: {self.kind.value}{f' at {self.path}' if self.path else ''}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two tables side by side. `first` holds some of the differences, in key order."""

    source_items: int
    destination_items: int
    missing: int
    extra: int
    changed: int
    first: tuple[Difference, ...]

    @property
    def equal(self) -> bool:
        """No key differs."""
        return not (self.missing or self.extra or self.changed)


def compare(source: Mapping[Key, Item], destination: Mapping[Key, Item], differences_max: int = 10) -> Comparison:
    """Compare tables, each given as items by canonical key; `first` has at most `differences_max`."""
    missing = [Difference(Kind.MISSING, key) for key in source.keys() - destination.keys()]
    extra = [Difference(Kind.EXTRA, key) for key in destination.keys() - source.keys()]
    changed = [
        Difference(Kind.CHANGED, key, path)
        for key in source.keys() & destination.keys()
        if (path := first_difference(source[key], destination[key])) is not None
    ]
    found = sorted(missing + extra + changed, key=lambda difference: _sortable(difference.key))
    return Comparison(
        len(source), len(destination), len(missing), len(extra), len(changed), tuple(found[:differences_max])
    )


def first_difference(source: Item, destination: Item) -> str | None:
    """The path of the first attribute, by name, that differs between two items; None: the same."""
    # Almost all items are alike to the letter, whatever the order of their attributes.
    return None if source == destination else _first_in_map(source, destination, "")


def _first_in_map(one: Item, other: Item, path: str) -> str | None:
    for name in sorted(one.keys() | other.keys()):
        here = f"{path}.{name}" if path else name
        if name not in one or name not in other:
            return here
        found = _first_in_value(one[name], other[name], here)
        if found is not None:
            return found
    return None


def _first_in_value(one: AttributeValue, other: AttributeValue, path: str) -> str | None:
    ((kind, value),) = one.items()
    if kind not in other:
        return path
    other_value = other[kind]
    if kind == "M":
        return _first_in_map(value, other_value, path)
    if kind == "L":
        return _first_in_list(value, other_value, path)
    if kind == "N":
        same = canonical_number(value) == canonical_number(other_value)
    elif kind == "NS":
        same = {canonical_number(n) for n in value} == {canonical_number(n) for n in other_value}
    elif kind in ("SS", "BS"):
        same = set(value) == set(other_value)
    else:
        same = type(value) is type(other_value) and value == other_value
    return None if same else path


def _first_in_list(one: list[AttributeValue], other: list[AttributeValue], path: str) -> str | None:
    for index, (left, right) in enumerate(zip(one, other, strict=False)):
        found = _first_in_value(left, right, f"{path}[{index}]")
        if found is not None:
            return found
    return None if len(one) == len(other) else f"{path}[{min(len(one), len(other))}]"


def _sortable(key: Key) -> tuple[str, str]:
    return (key, "") if isinstance(key, str) else key
