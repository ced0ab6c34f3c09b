"""Update expressions: what each action makes of an item (API reference, UpdateItem, "UpdateExpression").

All actions see the item as it was; what they make is put together afterwards. Made by `parse`.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any, TypeAlias

from dynamirror.testing.dynamodb.conditions import Given, Item, Operand
from dynamirror.testing.dynamodb.refusal import Refusal, invalid
from dynamirror.testing.dynamodb.tokens import Path, Scope, Steps, at
from dynamirror.testing.dynamodb.values import SETS, Value, members, number, spelled

# Enough for the sum of any two numbers to be exact, so that too many digits are seen.
_SUM = Context(prec=300)
_GONE: Any = object()


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """`one + other` or `one - other`."""

    sign: str
    one: Operand
    other: Operand

    def of(self, item: Item, scope: Scope) -> Value | None:
        """See Operand."""
        return added(_present(self.one, item, scope), _present(self.other, item, scope), self.sign)


@dataclass(frozen=True, slots=True)
class IfNotExists:
    """`if_not_exists(path, otherwise)`."""

    path: Path
    otherwise: Operand

    def of(self, item: Item, scope: Scope) -> Value | None:
        """See Operand."""
        found = self.path.of(item, scope)
        return found if found is not None else self.otherwise.of(item, scope)


@dataclass(frozen=True, slots=True)
class ListAppend:
    """`list_append(one, other)`."""

    one: Operand
    other: Operand

    def of(self, item: Item, scope: Scope) -> Value | None:
        """See Operand."""
        one = _present(self.one, item, scope)
        other = _present(self.other, item, scope)
        if "L" not in one or "L" not in other:
            raise _wrong_type()
        return {"L": [*one["L"], *other["L"]]}


@dataclass(frozen=True, slots=True)
class Assign:
    """`SET path = value`."""

    path: Path
    value: Operand

    def result(self, item: Item, scope: Scope) -> Value | None:
        """The value that shall stand at the path; None: none shall."""
        return _present(self.value, item, scope)


@dataclass(frozen=True, slots=True)
class Remove:
    """`REMOVE path`."""

    path: Path

    def result(self, item: Item, scope: Scope) -> Value | None:
        """See Assign."""
        return None


@dataclass(frozen=True, slots=True)
class Add:
    """`ADD path :number` or `ADD path :set`."""

    path: Path
    given: Given

    def result(self, item: Item, scope: Scope) -> Value | None:
        """See Assign."""
        old = self.path.of(item, scope)
        given = scope.values[self.given.placeholder]
        if old is None:
            return given
        ((kind, content),) = given.items()
        if kind not in old:
            raise _wrong_type()
        if kind == "N":
            return added(old, given, "+")
        known = members(kind, old[kind])
        return {kind: sorted([*old[kind], *(text for text in content if not members(kind, [text]) <= known)])}


@dataclass(frozen=True, slots=True)
class Delete:
    """`DELETE path :set`: members of a set."""

    path: Path
    given: Given

    def result(self, item: Item, scope: Scope) -> Value | None:
        """See Assign; None also for a set that is left without members."""
        old = self.path.of(item, scope)
        if old is None:
            return None
        given = scope.values[self.given.placeholder]
        ((kind, content),) = given.items()
        if kind not in old or kind not in SETS:
            raise _wrong_type()
        doomed = members(kind, content)
        left = [text for text in old[kind] if not members(kind, [text]) <= doomed]
        return {kind: left} if left else None


Action: TypeAlias = Assign | Remove | Add | Delete


def added(one: Value, other: Value, sign: str) -> Value:
    """The sum or the difference. Raises Refusal for what is no number, and for a result that cannot be stored."""
    if "N" not in one or "N" not in other:
        raise _wrong_type()
    left, right = number(one["N"]), number(other["N"])
    if type(left) is int and type(right) is int and left < 10**30 and right < 10**30:
        return {"N": str(left + right if sign == "+" else left - right)}
    exact = _SUM.add if sign == "+" else _SUM.subtract
    return {"N": spelled(exact(Decimal(left), Decimal(right)))}


def updated(item: Item, actions: Sequence[Action], paths: Sequence[Steps], scope: Scope) -> dict[str, Value]:
    """The item after all actions. `paths`: those of the actions, resolved. Raises Refusal."""
    after = dict(item)
    results = [(path, action.result(item, scope)) for path, action in zip(paths, actions, strict=True)]
    nested = [(path, result) for path, result in results if len(path) > 1]
    for path, result in results:
        if len(path) == 1:
            _set_top(after, path[0], result)
    if nested:
        _set_nested(after, nested)
    return after


def overlap(paths: Sequence[Steps]) -> tuple[Steps, Steps] | None:
    """Two paths of which one lies on the other's way, or that need different containers at one place."""
    if len({path[0] for path in paths}) == len(paths):
        return None
    for place, one in enumerate(paths):
        for other in paths[place + 1 :]:
            apart = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)
            if apart is None or type(one[apart]) is not type(other[apart]):
                return one, other
    return None


def _set_top(after: dict[str, Value], name: Any, result: Value | None) -> None:
    if result is None:
        after.pop(name, None)
    else:
        after[name] = result


def _set_nested(after: dict[str, Value], nested: list[tuple[Steps, Value | None]]) -> None:
    for name in {path[0] for path, _ in nested}:
        if name in after:
            after[name] = deepcopy(after[name])
    lists: list[list[Any]] = []
    # Elements beyond the end are appended, in the order of their positions.
    for path, result in sorted(nested, key=lambda one: one[0][-1] if type(one[0][-1]) is int else -1):
        parent = at(after, path[:-1])
        step = path[-1]
        if parent is None and result is None:
            raise _no_such_path()
        if parent is None or ("L" if type(step) is int else "M") not in parent:
            raise _no_such_path()
        if type(step) is int:
            lists.append(parent["L"])
            _set_element(parent["L"], step, result)
        elif result is None:
            parent["M"].pop(step, None)
        else:
            parent["M"][step] = result
    for elements in lists:
        elements[:] = [element for element in elements if element is not _GONE]


def _set_element(elements: list[Any], position: int, result: Value | None) -> None:
    if position < len(elements):
        elements[position] = _GONE if result is None else result
    elif result is not None:
        elements.append(result)


def _present(operand: Operand, item: Item, scope: Scope) -> Value:
    value = operand.of(item, scope)
    if value is None:
        raise invalid("The provided expression refers to an attribute that does not exist in the item")
    return value


def _wrong_type() -> Refusal:
    return invalid("An operand in the update expression has an incorrect data type")


def _no_such_path() -> Refusal:
    return invalid("The document path provided in the update expression is invalid for update")
