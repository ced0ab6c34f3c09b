"""Reading conditions: OR binds least, then AND, then NOT."""

from dynamirror.testing.dynamodb.conditions import (
    COMPARE,
    And,
    BeginsWith,
    Between,
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
from dynamirror.testing.dynamodb.expression import IN_MAX, Notes
from dynamirror.testing.dynamodb.refusal import Refusal
from dynamirror.testing.dynamodb.tokens import Path, Tokens
from dynamirror.testing.dynamodb.values import ORDERED

_FUNCTIONS = ("attribute_exists", "attribute_not_exists", "attribute_type", "begins_with", "contains")


class ConditionParser:
    """Reads one condition from `tokens`. Raises Refusal at what is none."""

    def __init__(self, tokens: Tokens, notes: Notes) -> None:
        self._tokens = tokens
        self._notes = notes
        # Where the last expression in parentheses began and ended.
        self._group = (-1, -1)

    def either(self) -> Condition:
        """Conditions joined by OR, or one of them."""
        found = self._both()
        while self._tokens.keyword("OR"):
            self._notes.operator("OR")
            found = Or(found, self._both())
        return found

    def _both(self) -> Condition:
        found = self._negated()
        while self._tokens.keyword("AND"):
            self._notes.operator("AND")
            found = And(found, self._negated())
        return found

    def _negated(self) -> Condition:
        if not self._tokens.keyword("NOT"):
            return self._single()
        self._notes.operator("NOT")
        return Not(self._negated())

    def _single(self) -> Condition:
        if self._tokens.sign("("):
            return self._grouped()
        function = self._tokens.call(*_FUNCTIONS)
        if function is not None:
            found = self._function(function)
            self._tokens.expect(")")
            return found
        one = self._operand()
        if sign := self._tokens.sign("=", "<>", *COMPARE):
            return self._comparison(sign, one)
        match self._tokens.keyword("BETWEEN", "IN"):
            case "BETWEEN":
                return self._between(one)
            case "IN":
                return self._in(one)
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
        if function in ("attribute_exists", "attribute_not_exists"):
            self._notes.operator(function)
            exists = Exists(path_of(self._tokens, function))
            return exists if function == "attribute_exists" else Not(exists)
        if function == "attribute_type":
            self._notes.operator(function)
            path = path_of(self._tokens, function)
            self._tokens.expect(",")
            return HasType(path, self._given(function))
        one = self._operand()
        self._tokens.expect(",")
        other = self._operand()
        self._notes.operator(function, one, other)
        if function == "contains":
            return Contains(one, other)
        self._notes.demand(frozenset({"S", "B"}), function, one, other)
        return BeginsWith(one, other)

    def _comparison(self, sign: str, one: Operand) -> Condition:
        other = self._operand()
        self._notes.operator(sign, one, other)
        if sign in ("=", "<>"):
            return Equal(one, other, sign == "=")
        self._notes.demand(ORDERED, sign, one, other)
        return Ordered(sign, one, other)

    def _between(self, one: Operand) -> Condition:
        low = self._operand()
        if not self._tokens.keyword("AND"):
            raise self._tokens.syntax_error()
        high = self._operand()
        self._notes.operator("BETWEEN", one, low, high)
        self._notes.demand(ORDERED, "BETWEEN", one, low, high)
        if isinstance(low, Given) and isinstance(high, Given):
            self._notes.bounds.append((low.placeholder, high.placeholder))
        return Between(one, low, high)

    def _in(self, one: Operand) -> Condition:
        self._tokens.expect("(")
        others = tuple(self._tokens.listed(self._operand))
        self._tokens.expect(")")
        if len(others) > IN_MAX:
            raise self._tokens.error(f"The IN operator is provided with too many operands: {len(others)}")
        self._notes.operator("IN", one, *others)
        return In(one, others)

    def _operand(self) -> Operand:
        if self._tokens.call("size"):
            self._notes.operator("size")
            found = Size(path_of(self._tokens, "size"))
            self._tokens.expect(")")
            return found
        placeholder = self._tokens.value()
        return Given(placeholder) if placeholder is not None else self._tokens.path()

    def _given(self, function: str) -> Given:
        placeholder = self._tokens.value()
        if placeholder is None:
            raise _wrong_operand(self._tokens, function)
        given = Given(placeholder)
        self._notes.demand(frozenset({"S"}), function, given)
        return given


def path_of(tokens: Tokens, function: str) -> Path:
    """The path that is a function's operand. Raises Refusal for a given value."""
    if tokens.next.kind == "value":
        raise _wrong_operand(tokens, function)
    return tokens.path()


def _wrong_operand(tokens: Tokens, function: str) -> Refusal:
    return tokens.error(f"Incorrect operand type for operator or function; operator or function: {function}")
