"""Attribute values, as JSON has them (`{"S": "x"}`): what may be stored, how large it is, how two of them compare.

Values are never changed once they are stored; what changes is replaced.
"""

import re
from base64 import b64decode
from binascii import Error as BinasciiError
from collections.abc import Callable, Mapping
from decimal import Context, Decimal, Inexact, Overflow, Underflow
from typing import Any, TypeAlias

from dynamirror.model.key import canonical_number
from dynamirror.testing.dynamodb.refusal import invalid, unreadable, wrong_value

Value: TypeAlias = Mapping[str, Any]
# What numbers, strings and binaries sort by; strings in code points, which is the order of their UTF-8 bytes.
Sortable: TypeAlias = Any

SETS = frozenset({"SS", "NS", "BS"})
ORDERED = frozenset({"S", "N", "B"})

# Developer Guide, "Service, account, and table quotas": nested levels.
DEPTH_MAX = 32
NAME_BYTES_MAX = 65535
# Developer Guide, "Data types: Number".
_DIGITS_MAX = 38
_LARGEST = 125
_SMALLEST = -130
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,9})?", re.ASCII)
_EXACT = Context(prec=_DIGITS_MAX, Emax=10**9, Emin=-(10**9), traps=[Inexact, Overflow, Underflow])


def number(text: str) -> Sortable:
    """A number that was checked before, to calculate and to compare with."""
    return int(text) if text.isdigit() else Decimal(text)


def binary(text: str) -> bytes:
    """A binary value that was checked before."""
    return b64decode(text)


def check(value: Any, depth: int = 1) -> int:
    """The size of a value in bytes as the service counts it; its numbers and sets get the service's form.

    Raises Refusal for a value that cannot be stored. Sizes: Developer Guide, "DynamoDB item sizes and formats".
    """
    if type(value) is not dict:
        raise unreadable("an attribute value is no structure")
    if depth > DEPTH_MAX:
        raise invalid("Nesting Levels have exceeded supported limits")
    if len(value) != 1:
        how_many = "is empty, must contain exactly one of" if not value else "has more than one datatypes set, must be"
        raise invalid(f"Supplied AttributeValue {how_many} the supported datatypes")
    ((kind, content),) = value.items()
    if kind == "S":
        return _string_size(content)
    if kind == "N":
        if type(content) is str and content.isdigit() and content.isascii() and len(content) <= _DIGITS_MAX:
            if content[0] == "0" and content != "0":
                value["N"] = content.lstrip("0") or "0"
            return (len(content) + 1) // 2 + 1
        value["N"] = checked_number(content)
        return _number_size(value["N"])
    check_kind = _CHECKS.get(kind)
    if check_kind is None:
        raise invalid("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
    return check_kind(value, content, depth)


def checked_number(text: Any) -> str:
    """The number as the service spells it. Raises Refusal for text that is none, or beyond precision or range."""
    if type(text) is not str:
        raise unreadable("a number is to be a string")
    if not _NUMBER.fullmatch(text):
        raise invalid(f"The parameter cannot be converted to a numeric value: {text}")
    try:
        exact = Decimal(text).normalize(_EXACT)
    except (Inexact, Overflow, Underflow):
        raise invalid("Attempting to store more than 38 significant digits in a Number") from None
    return spelled(exact)


def spelled(exact: Decimal) -> str:
    """The number as the service spells it. Raises Refusal when it is beyond precision or range."""
    if exact and exact.adjusted() > _LARGEST:
        raise invalid("Number overflow. Attempting to store a number with magnitude larger than supported range")
    if exact and exact.adjusted() < _SMALLEST:
        raise invalid("Number underflow. Attempting to store a number with magnitude smaller than supported range")
    if len(exact.normalize(Context(prec=400)).as_tuple().digits) > _DIGITS_MAX:
        raise invalid("Attempting to store more than 38 significant digits in a Number")
    return canonical_number(str(exact))


def same(one: Value, other: Value) -> bool:
    """Whether two values are equal: numbers by value, sets without order."""
    if one == other:
        return True
    ((kind, content),) = one.items()
    if kind not in other:
        return False
    other_content = other[kind]
    if kind == "N":
        return bool(number(content) == number(other_content))
    if kind in SETS:
        return members(kind, content) == members(kind, other_content)
    if kind == "L":
        return len(content) == len(other_content) and all(map(same, content, other_content))
    if kind == "M":
        return content.keys() == other_content.keys() and all(
            same(inner, other_content[name]) for name, inner in content.items()
        )
    return False


def members(kind: str, content: list[str]) -> frozenset[Sortable]:
    """The members of a set, to be compared by value."""
    return frozenset(map(number, content)) if kind == "NS" else frozenset(content)


def sortable(value: Value) -> tuple[str, Sortable] | None:
    """Type and what sorts within it; None for types without order."""
    ((kind, content),) = value.items()
    if kind == "S":
        return kind, content
    if kind == "N":
        return kind, number(content)
    return (kind, binary(content)) if kind == "B" else None


def _name_size(name: str) -> int:
    size = len(name) if name.isascii() else len(name.encode())
    if not 0 < size <= NAME_BYTES_MAX:
        raise invalid(
            "Empty attribute name" if not size else "Attribute name is too large, must be less than 65536 bytes"
        )
    return size


def _string_size(content: Any) -> int:
    if type(content) is not str:
        raise unreadable("a string value is no string")
    return len(content) if content.isascii() else len(content.encode())


def _number_size(text: str) -> int:
    digits = text.lstrip("-").replace(".", "").strip("0")
    return (len(digits) + 1) // 2 + 1 + text.startswith("-")


def _binary_size(content: Any) -> int:
    if type(content) is not str:
        raise unreadable("a binary value is no string")
    try:
        return len(b64decode(content, validate=True))
    except (BinasciiError, ValueError):
        raise unreadable("a binary value is no Base64") from None


def _check_binary(value: dict[str, Any], content: Any, depth: int) -> int:
    return _binary_size(content)


def _check_flag(value: dict[str, Any], content: Any, depth: int) -> int:
    if type(content) is not bool:
        raise unreadable("a BOOL or NULL value is neither true nor false")
    if "NULL" in value and not content:
        raise wrong_value("Null attribute value types must have the value of true")
    return 1


def _check_set(value: dict[str, Any], content: Any, depth: int) -> int:
    if type(content) is not list:
        raise unreadable("a set is no list")
    if not content:
        raise wrong_value("An set may not be empty")
    ((kind, _),) = value.items()
    if kind == "SS":
        size = sum(map(_string_size, content))
    elif kind == "BS":
        size = sum(map(_binary_size, content))
    else:
        content = [checked_number(text) for text in content]
        size = sum(map(_number_size, content))
    if len(set(content)) != len(content):
        raise wrong_value(f"Input collection {content} contains duplicates")
    # "The order of the values within a set is not preserved": whoever relies on it shall see it here.
    value[kind] = sorted(content)
    return size


def _check_list(value: dict[str, Any], content: Any, depth: int) -> int:
    if type(content) is not list:
        raise unreadable("a list value is no list")
    return 3 + sum(check(inner, depth + 1) + 1 for inner in content)


def _check_map(value: dict[str, Any], content: Any, depth: int) -> int:
    if type(content) is not dict:
        raise unreadable("a map value is no structure")
    return 3 + sum(_name_size(name) + check(inner, depth + 1) + 1 for name, inner in content.items())


_CHECKS: dict[str, Callable[[dict[str, Any], Any, int], int]] = {
    "B": _check_binary,
    "BOOL": _check_flag,
    "NULL": _check_flag,
    "SS": _check_set,
    "NS": _check_set,
    "BS": _check_set,
    "L": _check_list,
    "M": _check_map,
}


def check_item(item: Any) -> int:
    """The size of a whole item; see `check`."""
    if type(item) is not dict:
        raise unreadable("an item is no structure")
    size = 0
    for name, value in item.items():
        size += _name_size(name) + check(value)
    return size
