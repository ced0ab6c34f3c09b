"""From the text of an expression to its tree. Each text is parsed once."""

from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

from dynamirror.testing.dynamodb.condition_parser import ConditionParser
from dynamirror.testing.dynamodb.conditions import Condition
from dynamirror.testing.dynamodb.expression import EXPRESSION_BYTES_MAX, OPERATORS_MAX, Expression, Notes
from dynamirror.testing.dynamodb.tokens import Path, Tokens
from dynamirror.testing.dynamodb.update_parser import actions
from dynamirror.testing.dynamodb.updates import Action

T = TypeVar("T")


@lru_cache(maxsize=4096)
def condition(what: str, text: str) -> Expression[Condition]:
    """A condition, filter or key condition. Raises Refusal."""
    return _whole(what, text, lambda tokens, notes: ConditionParser(tokens, notes).either())


@lru_cache(maxsize=4096)
def update(text: str) -> Expression[tuple[Action, ...]]:
    """An update expression. Raises Refusal."""
    return _whole("UpdateExpression", text, actions)


@lru_cache(maxsize=4096)
def projection(text: str) -> Expression[tuple[Path, ...]]:
    """A projection expression. Raises Refusal."""
    return _whole("ProjectionExpression", text, lambda tokens, _: tuple(tokens.listed(tokens.path)))


def _whole(what: str, text: str, read: Callable[[Tokens, Notes], T]) -> Expression[T]:
    tokens, notes = Tokens(what, text), Notes()
    size = len(text.encode())
    if size > EXPRESSION_BYTES_MAX:
        raise tokens.error(f"Expression size has exceeded the maximum allowed size; expression size: {size}")
    tree = read(tokens, notes)
    tokens.end()
    if notes.operators > OPERATORS_MAX:
        raise tokens.error(f"The expression contains too many operators; operator count: {notes.operators}")
    return Expression(
        what,
        tree,
        frozenset(tokens.names),
        frozenset(tokens.values),
        tuple(tokens.paths),
        tuple(path for path in tokens.paths if len(path.steps) > 1),
        tuple(notes.demands),
        tuple(notes.bounds),
        tuple(notes.distinct),
    )
