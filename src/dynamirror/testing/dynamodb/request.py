"""What the parameters of a request say, checked as the service checks them."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from dynamirror.testing.dynamodb import parse
from dynamirror.testing.dynamodb.conditions import Condition, Item
from dynamirror.testing.dynamodb.expression import Expression
from dynamirror.testing.dynamodb.refusal import Refusal, invalid, unreadable
from dynamirror.testing.dynamodb.tokens import Path, Scope, Steps
from dynamirror.testing.dynamodb.updates import overlap
from dynamirror.testing.dynamodb.values import check, sortable

# Parameters that the service knows and that are not simulated: legacy forms, indexes.
NOT_SIMULATED = frozenset(
    {
        "AttributesToGet",
        "AttributeUpdates",
        "ConditionalOperator",
        "Expected",
        "IndexName",
        "KeyConditions",
        "QueryFilter",
        "ScanFilter",
    }
)

# Developer Guide, "Service, account, and table quotas": all that placeholders stand for.
VALUES_BYTES_MAX = 2 * 1024 * 1024

_NOTHING: Mapping[str, Any] = {}


class Request:
    """One request: its JSON, and its expressions with what their placeholders stand for."""

    def __init__(self, content: dict[str, Any], *parameters: str) -> None:
        """`parameters`: the expressions that this operation takes, of those that `_PARSERS` knows. Raises Refusal."""
        self.content = content
        self._expressions: dict[str, Expression[Any]] = {}
        names, values = content.get("ExpressionAttributeNames"), content.get("ExpressionAttributeValues")
        for parameter in parameters:
            text = content.get(parameter)
            if text is not None:
                self._expressions[parameter] = _PARSERS[parameter](_text(parameter, text))
        self.scope = Scope(names or _NOTHING, values or _NOTHING)
        if self._expressions:
            self._check_placeholders(names, values)
        elif names is not None or values is not None:
            which = "ExpressionAttributeNames" if names is not None else "ExpressionAttributeValues"
            raise invalid(f"{which} can only be specified when using expressions")

    def tree(self, parameter: str) -> Any:
        """What the expression says; None when the request has none."""
        expression = self._expressions.get(parameter)
        return None if expression is None else expression.tree

    def holds(self, parameter: str, item: Item) -> bool:
        """Whether the condition in this parameter holds; without one it does."""
        condition: Condition | None = self.tree(parameter)
        return condition is None or condition.holds(item, self.scope)

    def paths(self, parameter: str, paths: Sequence[Path]) -> list[Steps]:
        """The paths, resolved. Raises Refusal when two of them overlap."""
        found = [path.resolve(self.scope) for path in paths]
        if len(found) > 1 and (two := overlap(found)) is not None:
            raise invalid(
                f"Invalid {parameter}: Two document paths overlap with each other; must remove or rewrite one of "
                f"these paths; path one: {list(two[0])}, path two: {list(two[1])}"
            )
        return found

    def check_key_paths(self, key_names: Collection[str]) -> None:
        """Raises Refusal when a path goes into an attribute of the key, or a Query filters by one."""
        for parameter, expression in self._expressions.items():
            for path in expression.nested:
                if path.resolve(self.scope)[0] in key_names:
                    raise invalid("Key attributes must be scalars; list random access and map lookup are not allowed")
            if parameter == "FilterExpression" and "KeyConditionExpression" in self._expressions:
                for path in expression.paths:
                    if path.resolve(self.scope)[0] in key_names:
                        raise invalid("Filter Expression can only contain non-primary key attributes")

    def choice(self, parameter: str, *allowed: str) -> str:
        """The value of a parameter with few values; the first one when it is not given. Raises Refusal."""
        value = self.content.get(parameter)
        if value is None:
            return allowed[0]
        if value not in allowed:
            raise invalid(f"1 validation error detected: Value '{value}' at '{parameter}' must be one of {allowed}")
        return str(value)

    def _check_placeholders(self, names: Any, values: Any) -> None:
        used = self._expressions.values()
        _check_used("ExpressionAttributeNames", names, frozenset().union(*(one.names for one in used)), used)
        if values is not None:
            if type(values) is not dict:
                raise unreadable("ExpressionAttributeValues is no structure")
            if sum(map(check, values.values())) > VALUES_BYTES_MAX:
                raise invalid("ExpressionAttributeValues exceeds max size")
        _check_used("ExpressionAttributeValues", values, frozenset().union(*(one.values for one in used)), used)
        for expression in used:
            self._check_demands(expression)

    def _check_demands(self, expression: Expression[Any]) -> None:
        for demand in expression.demands:
            ((kind, _),) = self.scope.values[demand.placeholder].items()
            if kind not in demand.kinds:
                raise invalid(
                    f"Invalid {expression.what}: Incorrect operand type for operator or function; "
                    f"operator or function: {demand.operator}, operand type: {kind}"
                )
        for operator, path, another in expression.distinct:
            if path.resolve(self.scope) == another.resolve(self.scope):
                raise invalid(
                    f"Invalid {expression.what}: The first operand must be distinct from the remaining operands for "
                    f"this operator or function; operator: {operator}"
                )
        for low, high in expression.bounds:
            one, other = sortable(self.scope.values[low]), sortable(self.scope.values[high])
            assert one is not None
            assert other is not None
            if one[0] != other[0]:
                raise invalid(
                    f"Invalid {expression.what}: The BETWEEN operator requires same data type for both bounds"
                )
            if one[1] > other[1]:
                raise invalid(
                    f"Invalid {expression.what}: The BETWEEN operator requires upper bound to be greater than or equal "
                    "to lower bound"
                )


def whole_number(content: Mapping[str, Any], parameter: str, least: int, most: int) -> int | None:
    """An integer parameter; None when it is not given. Raises Refusal when it is out of range."""
    value = content.get(parameter)
    if value is None:
        return None
    if type(value) is not int:
        raise unreadable(f"{parameter} is no integer")
    if not least <= value <= most:
        raise invalid(f"1 validation error detected: Value '{value}' at '{parameter}' must be in {least}..{most}")
    return value


def structure(content: Mapping[str, Any], parameter: str) -> dict[str, Any]:
    """A parameter that is a structure and has to be there. Raises Refusal."""
    value = content.get(parameter)
    if value is None:
        raise invalid(
            f"1 validation error detected: Value null at '{parameter}' failed to satisfy constraint: not null"
        )
    if type(value) is not dict:
        raise unreadable(f"{parameter} is no structure")
    return value


def _text(parameter: str, value: Any) -> str:
    if type(value) is not str:
        raise unreadable(f"{parameter} is no string")
    return value


def _check_used(parameter: str, given: Any, used: frozenset[str], expressions: Any) -> None:
    if given is None:
        given = _NOTHING
    elif type(given) is not dict:
        raise unreadable(f"{parameter} is no structure")
    elif not given:
        raise invalid(f"{parameter} must not be empty")
    if used == given.keys():
        return
    missing = used - given.keys()
    if missing:
        raise _undefined(parameter, min(missing), expressions)
    unused = ", ".join(sorted(given.keys() - used))
    raise invalid(f"Value provided in {parameter} unused in expressions: keys: {{{unused}}}")


def _undefined(parameter: str, placeholder: str, expressions: Any) -> Refusal:
    [what, *_] = [one.what for one in expressions if placeholder in one.names | one.values]
    kind = "name" if parameter == "ExpressionAttributeNames" else "value"
    return invalid(
        f"Invalid {what}: An expression attribute {kind} used in the document path is not defined; "
        f"attribute {kind}: {placeholder}"
    )


_PARSERS: Mapping[str, Any] = {
    "ConditionExpression": lambda text: parse.condition("ConditionExpression", text),
    "FilterExpression": lambda text: parse.condition("FilterExpression", text),
    "KeyConditionExpression": lambda text: parse.condition("KeyConditionExpression", text),
    "ProjectionExpression": parse.projection,
    "UpdateExpression": parse.update,
}
