"""Conditions as trees: what each node says of an item (API reference, "Condition expressions: comparison operators and
functions"). Made by `parse`.

An operand without a value (no such attribute, or no size) makes every comparison false but `<>`, which it makes true.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import ge, gt, le, lt
from typing import Any, Protocol, TypeAlias

from dynamirror.testing.dynamodb.refusal import invalid
from dynamirror.testing.dynamodb.tokens import Path, Scope
from dynamirror.testing.dynamodb.values import SETS, Value, binary, number, same, sortable

Item: TypeAlias = Mapping[str, Value]

TYPES = frozenset({"S", "SS", "N", "NS", "B", "BS", "BOOL", "NULL", "L", "M"})
COMPARE: dict[str, Callable[[Any, Any], bool]] = {"<": lt, "<=": le, ">": gt, ">=": ge}


class Operand(Protocol):
    """Something with a value."""

    def of(self, item: Item, scope: Scope) -> Value | None:
        """The value in this item; None when there is none."""


class Condition(Protocol):
    """Something that is true or false."""

    def holds(self, item: Item, scope: Scope) -> bool:
        """Whether it is true of this item."""


@dataclass(frozen=True, slots=True)
class Given:
    """A value's placeholder."""

    placeholder: str

    def of(self, item: Item, scope: Scope) -> Value | None:
        """See Operand."""
        return scope.values[self.placeholder]


@dataclass(frozen=True, slots=True)
class Size:
    """`size(path)`."""

    path: Path

    def of(self, item: Item, scope: Scope) -> Value | None:
        """See Operand; None for numbers and flags."""
        value = self.path.of(item, scope)
        if value is None:
            return None
        ((kind, content),) = value.items()
        if kind == "S":
            # In UTF-16 code units, as DynamoDB Local counts; the documentation says "length of the string".
            return {"N": str(len(content.encode("utf-16-le")) // 2)}
        if kind in SETS or kind in ("L", "M"):
            return {"N": str(len(content))}
        return {"N": str(len(binary(content)))} if kind == "B" else None


@dataclass(frozen=True, slots=True)
class And:
    """Both."""

    one: Condition
    other: Condition

    def holds(self, item: Item, scope: Scope) -> bool:
        """See Condition."""
        return self.one.holds(item, scope) and self.other.holds(item, scope)


@dataclass(frozen=True, slots=True)
class Or:
    """One of two."""

    one: Condition
    other: Condition

    def holds(self, item: Item, scope: Scope) -> bool:
        """See Condition."""
        return self.one.holds(item, scope) or self.other.holds(item, scope)


@dataclass(frozen=True, slots=True)
class Not:
    """The contrary."""

    inner: Condition

    def holds(self, item: Item, scope: Scope) -> bool:
        """See Condition."""
        return not self.inner.holds(item, scope)


@dataclass(frozen=True, slots=True)
class Equal:
    """`one = other`, or `<>` when `wanted` is False."""

    one: Operand
    other: Operand
    wanted: bool

    def holds(self, item: Item, scope: Scope) -> bool:
        """See Condition."""
        one = self.one.of(item, scope)
        other = self.other.of(item, scope)
        return (one is not None and other is not None and same(one, other)) is self.wanted


@dataclass(frozen=True, slots=True)
class Ordered:
    """`one < other` and its like; false for values of different types."""

    sign: str
    one: Operand
    other: Operand

    def holds(self, item: Item, scope: Scope) -> bool:
        """See Condition."""
        one = self.one.of(item, scope)
        other = self.other.of(item, scope)
        if one is None or other is None:
            return False
        left, right = sortable(one), sortable(other)
        return left is not None and right is not None and left[0] == right[0] and COMPARE[self.sign](left[1], right[1])


@dataclass(frozen=True, slots=True)
class Between:
    """`one BETWEEN low AND high`, both included."""

    one: Operand
    low: Operand
    high: Operand

    def holds(self, item: Item, scope: Scope) -> bool:
        """See Condition."""
        return Ordered(">=", self.one, self.low).holds(item, scope) and Ordered("<=", self.one, self.high).holds(
            item, scope
        )


@dataclass(frozen=True, slots=True)
class In:
    """`one IN (others)`."""

    one: Operand
    others: tuple[Operand, ...]

    def holds(self, item: Item, scope: Scope) -> bool:
        """See Condition."""
        one = self.one.of(item, scope)
        if one is None:
            return False
        others = [other.of(item, scope) for other in self.others]
        return any(other is not None and same(one, other) for other in others)


@dataclass(frozen=True, slots=True)
class Exists:
    """`attribute_exists(path)`."""

    path: Path

    def holds(self, item: Item, scope: Scope) -> bool:
        """See Condition."""
        return self.path.of(item, scope) is not None


@dataclass(frozen=True, slots=True)
class HasType:
    """`attribute_type(path, :type)`."""

    path: Path
    type: Given

    def holds(self, item: Item, scope: Scope) -> bool:
        """See Condition."""
        value = self.path.of(item, scope)
        wanted = scope.values[self.type.placeholder]["S"]
        if wanted not in TYPES:
            raise invalid(f"Invalid expression: Invalid attribute type name found; type: {wanted}")
        return value is not None and wanted in value


@dataclass(frozen=True, slots=True)
class BeginsWith:
    """`begins_with(one, prefix)`, of strings or binaries."""

    one: Operand
    prefix: Operand

    def holds(self, item: Item, scope: Scope) -> bool:
        """See Condition."""
        one = self.one.of(item, scope)
        prefix = self.prefix.of(item, scope)
        if one is None or prefix is None:
            return False
        if "S" in one and "S" in prefix:
            return bool(one["S"].startswith(prefix["S"]))
        return "B" in one and "B" in prefix and binary(one["B"]).startswith(binary(prefix["B"]))


@dataclass(frozen=True, slots=True)
class Contains:
    """`contains(one, part)`: a part of a string or binary, a member of a set, an element of a list."""

    one: Operand
    part: Operand

    def holds(self, item: Item, scope: Scope) -> bool:
        """See Condition."""
        one = self.one.of(item, scope)
        part = self.part.of(item, scope)
        if one is None or part is None:
            return False
        ((kind, content),) = one.items()
        if kind == "L":
            return any(same(element, part) for element in content)
        ((part_kind, part_content),) = part.items()
        if kind == "NS":
            return part_kind == "N" and number(part_content) in set(map(number, content))
        if kind in SETS:
            return kind == part_kind + "S" and part_content in content
        if kind == part_kind == "S":
            return part_content in content
        return kind == part_kind == "B" and binary(part_content) in binary(content)
