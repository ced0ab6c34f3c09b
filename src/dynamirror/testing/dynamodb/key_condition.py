"""Key conditions: one partition, and perhaps a range within it (API reference, Query, "KeyConditionExpression")."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dynamirror.model.key import Key, KeySchema
from dynamirror.testing.dynamodb.conditions import And, BeginsWith, Between, Condition, Equal, Given, Ordered
from dynamirror.testing.dynamodb.refusal import invalid, wrong_value
from dynamirror.testing.dynamodb.request import Request
from dynamirror.testing.dynamodb.tokens import Path, Scope

_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


@dataclass(frozen=True, slots=True)
class KeyCondition:
    """The hash key as it is stored, and what the range key has to fulfil."""

    hash_text: str
    _schema: KeySchema
    _range: tuple[Condition, ...]
    _scope: Scope

    @classmethod
    def of(cls, request: Request, schema: KeySchema) -> "KeyCondition":
        """Read it out of a request. Raises Refusal when it is none."""
        tree = request.tree("KeyConditionExpression")
        if tree is None:
            raise invalid("Either the KeyConditions or KeyConditionExpression parameter must be specified")
        hash_values: list[str] = []
        of_range: list[Condition] = []
        for condition in map(_path_first, _conjuncts(tree)):
            name = _check(condition, request.scope, schema)
            if name != schema.hash.name:
                of_range.append(condition)
            elif isinstance(condition, Equal):
                hash_values.append(request.scope.values[_given(condition.other).placeholder][schema.hash.type])
            else:
                raise invalid("Query key condition not supported")
        if len(hash_values) != 1:
            raise invalid(f"Query condition missed key schema element: {schema.hash.name}")
        if len(of_range) > 1:
            raise invalid("KeyConditionExpressions must only contain one condition per key")
        return cls(hash_values[0], schema, tuple(of_range), request.scope)

    def holds(self, key: Key) -> bool:
        """Whether a row is meant."""
        if isinstance(key, str) or self._schema.range is None:
            return key == self.hash_text
        item = {self._schema.range.name: {self._schema.range.type: key[1]}}
        return key[0] == self.hash_text and all(condition.holds(item, self._scope) for condition in self._range)


def _conjuncts(condition: Condition) -> Iterator[Condition]:
    if isinstance(condition, And):
        yield from _conjuncts(condition.one)
        yield from _conjuncts(condition.other)
    else:
        yield condition


def _path_first(condition: Condition) -> Condition:
    """`:value = path` the other way round."""
    match condition:
        case Equal(Given() as given, Path() as path, wanted):
            return Equal(path, given, wanted)
        case Ordered(sign, Given() as given, Path() as path):
            return Ordered(_MIRRORED[sign], path, given)
        case _:
            return condition


def _check(condition: Condition, scope: Scope, schema: KeySchema) -> str:
    """The key attribute that a part of the condition is for. Raises Refusal."""
    match condition:
        case Equal(Path() as path, Given() as given, True) | Ordered(_, Path() as path, Given() as given):
            pass
        case BeginsWith(Path() as path, Given() as given) | Between(Path() as path, Given() as given, Given()):
            pass
        case Equal() | Ordered() | BeginsWith() | Between():
            raise invalid("Invalid KeyConditionExpression: Invalid operand in the key condition")
        case _:
            raise invalid("Invalid KeyConditionExpression: Invalid operator used in KeyConditionExpression")
    steps = path.resolve(scope)
    types: dict[Any, str] = {schema.hash.name: schema.hash.type}
    if schema.range is not None:
        types[schema.range.name] = schema.range.type
    if len(steps) > 1 or steps[0] not in types:
        raise invalid("Query condition missed key schema element")
    value = scope.values[given.placeholder]
    if types[steps[0]] not in value:
        raise wrong_value("Condition parameter type does not match schema type")
    if not value[types[steps[0]]]:
        raise wrong_value(f"The AttributeValue for a key attribute cannot contain an empty value. Key: {steps[0]}")
    return str(steps[0])


def _given(operand: Any) -> Given:
    assert isinstance(operand, Given)
    return operand
