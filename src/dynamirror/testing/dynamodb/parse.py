"""From the text of an expression to its tree. Each text is parsed once."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Generic, TypeVar

from dynamirror.testing.dynamodb.conditions import (
    COMPARE,
    And,
    BeginsWith,
    Condition,
    Contains,
    Equal,
    Exists,
    Given,
    HasType,
    In,
    Not,
    Operand,
    Or,
    Ordered,
    Size,
)
from dynamirror.testing.dynamodb.refusal import Refusal
from dynamirror.testing.dynamodb.tokens import Path, Tokens
from dynamirror.testing.dynamodb.updates import Action, Add, Arithmetic, Assign, Delete, IfNotExists, ListAppend, Remove
from dynamirror.testing.dynamodb.values import ORDERED, SETS

T = TypeVar("T")

_FUNCTIONS = ("attribute_exists", "attribute_not_exists", "attribute_type", "begins_with", "contains")


@dataclass(frozen=True, slots=True)
class Demand:
    """A given value must be of one of these types, whatever the item: the request is refused otherwise."""

    placeholder: str
    kinds: frozenset[str]
    operator: str


@dataclass(frozen=True, slots=True)
class Expression(Generic[T]):
    """What an expression says, with the placeholders that it uses and what they must be."""

    what: str
    tree: T
    names: frozenset[str]
    values: frozenset[str]
    demands: tuple[Demand, ...] = ()
    # Lower and upper bound of a BETWEEN.
    bounds: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class _Demands:
    of_values: list[Demand] = field(default_factory=list)
    bounds: list[tuple[str, str]] = field(default_factory=list)

    def add(self, kinds: frozenset[str], operator: str, *operands: Operand) -> None:
        for operand in operands:
            if isinstance(operand, Given):
                self.of_values.append(Demand(operand.placeholder, kinds, operator))


@lru_cache(maxsize=4096)
def condition(what: str, text: str) -> Expression[Condition]:
    """A condition, filter or key condition. Raises Refusal."""
    return _whole(what, text, lambda tokens, demands: _Conditions(tokens, demands).either())


@lru_cache(maxsize=4096)
def update(text: str) -> Expression[tuple[Action, ...]]:
    """An update expression. Raises Refusal."""
    return _whole("UpdateExpression", text, _actions)


@lru_cache(maxsize=4096)
def projection(text: str) -> Expression[tuple[Path, ...]]:
    """A projection expression. Raises Refusal."""
    return _whole("ProjectionExpression", text, lambda tokens, _: tuple(_listed(tokens, tokens.path)))


def _whole(what: str, text: str, read: Callable[[Tokens, _Demands], T]) -> Expression[T]:
    tokens, demands = Tokens(what, text), _Demands()
    tree = read(tokens, demands)
    tokens.end()
    return Expression(
        what,
        tree,
        frozenset(tokens.names),
        frozenset(tokens.values),
        tuple(demands.of_values),
        tuple(demands.bounds),
    )


def _listed(tokens: Tokens, one: Callable[[], T]) -> list[T]:
    found = [one()]
    while tokens.sign(","):
        found.append(one())
    return found


class _Conditions:
    """OR binds least, then AND, then NOT."""

    def __init__(self, tokens: Tokens, demands: _Demands) -> None:
        self._tokens = tokens
        self._demands = demands
        # Where the last expression in parentheses began and ended.
        self._group = (-1, -1)

    def either(self) -> Condition:
        found = self._both()
        while self._tokens.keyword("OR"):
            found = Or(found, self._both())
        return found

    def _both(self) -> Condition:
        found = self._negated()
        while self._tokens.keyword("AND"):
            found = And(found, self._negated())
        return found

    def _negated(self) -> Condition:
        return Not(self._negated()) if self._tokens.keyword("NOT") else self._single()

    def _single(self) -> Condition:
        if self._tokens.sign("("):
            return self._grouped()
        function = self._tokens.call(*_FUNCTIONS)
        if function is not None:
            return self._function(function)
        one = self._operand()
        if sign := self._tokens.sign("=", "<>", *COMPARE):
            return self._comparison(sign, one)
        match self._tokens.keyword("BETWEEN", "IN"):
            case "BETWEEN":
                return self._between(one)
            case "IN":
                self._tokens.expect("(")
                others = tuple(_listed(self._tokens, self._operand))
                self._tokens.expect(")")
                return In(one, others)
            case _:
                raise self._tokens.syntax_error()

    def _grouped(self) -> Condition:
        inside = self._tokens.place
        found = self.either()
        if self._group == (inside, self._tokens.place):
            raise self._tokens.error("The expression has redundant parentheses;")
        self._tokens.expect(")")
        self._group = (inside - 1, self._tokens.place)
        return found

    def _function(self, function: str) -> Condition:
        # An ordinary expression like attribute_exists(path) names a path first; begins_with and contains any operand.
        found: Condition
        if function in ("attribute_exists", "attribute_not_exists"):
            exists = Exists(self._path_of(function))
            found = exists if function == "attribute_exists" else Not(exists)
        elif function == "attribute_type":
            path = self._path_of(function)
            self._tokens.expect(",")
            found = HasType(path, self._given(function))
        else:
            one = self._operand()
            self._tokens.expect(",")
            other = self._operand()
            if function == "begins_with":
                self._demands.add(frozenset({"S", "B"}), function, one, other)
                found = BeginsWith(one, other)
            else:
                found = Contains(one, other)
            self._distinct(function, one, other)
        self._tokens.expect(")")
        return found

    def _comparison(self, sign: str, one: Operand) -> Condition:
        other = self._operand()
        self._distinct(sign, one, other)
        if sign in ("=", "<>"):
            return Equal(one, other, sign == "=")
        self._demands.add(ORDERED, sign, one, other)
        return Ordered(sign, one, other)

    def _between(self, one: Operand) -> Condition:
        low = self._operand()
        if not self._tokens.keyword("AND"):
            raise self._tokens.syntax_error()
        high = self._operand()
        self._demands.add(ORDERED, "BETWEEN", one, low, high)
        if isinstance(low, Given) and isinstance(high, Given):
            self._demands.bounds.append((low.placeholder, high.placeholder))
        return And(Ordered(">=", one, low), Ordered("<=", one, high))

    def _operand(self) -> Operand:
        if self._tokens.call("size"):
            found = Size(self._path_of("size"))
            self._tokens.expect(")")
            return found
        placeholder = self._tokens.value()
        return Given(placeholder) if placeholder is not None else self._tokens.path()

    def _path_of(self, function: str) -> Path:
        if self._tokens.next.kind == "value":
            raise _wrong_operand(self._tokens, function)
        return self._tokens.path()

    def _given(self, function: str) -> Given:
        placeholder = self._tokens.value()
        if placeholder is None:
            raise _wrong_operand(self._tokens, function)
        given = Given(placeholder)
        self._demands.add(frozenset({"S"}), function, given)
        return given

    def _distinct(self, operator: str, one: Operand, other: Operand) -> None:
        if isinstance(one, Path) and one == other:
            raise self._tokens.error(
                "The first operand must be distinct from the remaining operands for this operator or function; "
                f"operator: {operator}"
            )


def _wrong_operand(tokens: Tokens, operator: str) -> Refusal:
    return tokens.error(f"Operator or function requires a document path; operator or function: {operator}")


def _actions(tokens: Tokens, demands: _Demands) -> tuple[Action, ...]:
    found: list[Action] = []
    seen: set[str] = set()
    while section := tokens.keyword("SET", "REMOVE", "ADD", "DELETE"):
        if section in seen:
            raise tokens.error(f'The "{section}" section can only be used once in an update expression;')
        seen.add(section)
        found += _listed(tokens, lambda section=section: _action(section, tokens, demands))  # type: ignore[misc]
    if not found:
        raise tokens.syntax_error()
    return tuple(found)


def _action(section: str, tokens: Tokens, demands: _Demands) -> Action:
    path = tokens.path()
    if section == "REMOVE":
        return Remove(path)
    if section == "SET":
        tokens.expect("=")
        return Assign(path, _assigned(tokens, demands))
    placeholder = tokens.value()
    if placeholder is None:
        raise tokens.syntax_error()
    given = Given(placeholder)
    demands.add(SETS | {"N"} if section == "ADD" else SETS, section, given)
    return Add(path, given) if section == "ADD" else Delete(path, given)


def _assigned(tokens: Tokens, demands: _Demands) -> Operand:
    found = _term(tokens, demands)
    sign = tokens.sign("+", "-")
    if sign is None:
        return found
    other = _term(tokens, demands)
    demands.add(frozenset({"N"}), sign, found, other)
    return Arithmetic(sign, found, other)


def _term(tokens: Tokens, demands: _Demands) -> Operand:
    if tokens.call("if_not_exists"):
        if tokens.next.kind == "value":
            raise _wrong_operand(tokens, "if_not_exists")
        path = tokens.path()
        tokens.expect(",")
        found: Operand = IfNotExists(path, _term(tokens, demands))
    elif tokens.call("list_append"):
        one = _term(tokens, demands)
        tokens.expect(",")
        other = _term(tokens, demands)
        demands.add(frozenset({"L"}), "list_append", one, other)
        found = ListAppend(one, other)
    else:
        placeholder = tokens.value()
        return Given(placeholder) if placeholder is not None else tokens.path()
    tokens.expect(")")
    return found
