"""Expressions as tokens, with what all expression languages of the service share: paths and their placeholders."""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias, TypeVar

from dynamirror.testing.dynamodb.refusal import Refusal, invalid
from dynamirror.testing.dynamodb.reserved import RESERVED
from dynamirror.testing.dynamodb.values import Value

_TOKEN = re.compile(
    r"\s*(?:(?P<word>[A-Za-z][A-Za-z0-9_]*)|(?P<name>#[A-Za-z0-9_]+)|(?P<value>:[A-Za-z0-9_]+)"
    r"|(?P<index>[0-9]+)|(?P<sign><>|<=|>=|[=<>(),.\[\]+-]))"
)
# Words of the languages themselves, in any case.
_KEYWORDS = frozenset({"AND", "OR", "NOT", "BETWEEN", "IN", "SET", "REMOVE", "ADD", "DELETE"})

# Developer Guide, "Service, account, and table quotas": expression parameters; nested levels.
_PLACEHOLDER_MAX = 255
_STEPS_MAX = 32

T = TypeVar("T")

# Attribute names and list positions, from the item inwards.
Steps: TypeAlias = tuple[str | int, ...]


class Token(NamedTuple):
    """One token. `kind`: word, name, value, index, sign, or end."""

    kind: str
    text: str


class Scope(NamedTuple):
    """What the placeholders of a request stand for."""

    names: Mapping[str, str]
    values: Mapping[str, Value]


class Path(NamedTuple):
    """A document path as it is written: `a.#b[0]`."""

    steps: Steps

    def resolve(self, scope: Scope) -> Steps:
        """The path with its placeholders replaced."""
        return tuple(scope.names[step] if type(step) is str and step[0] == "#" else step for step in self.steps)

    def of(self, item: Mapping[str, Value], scope: Scope) -> Value | None:
        """The value there; None when there is none."""
        if len(self.steps) == 1:
            step: Any = self.steps[0]
            return item.get(scope.names[step] if step[0] == "#" else step)
        return at(item, self.resolve(scope))


def at(item: Mapping[str, Value], steps: Steps) -> Value | None:
    """The value at a path of an item; None when there is none."""
    value: Any = item.get(steps[0])  # type: ignore[arg-type]  # a path begins with a name
    for step in steps[1:]:
        if value is None:
            return None
        if type(step) is int:
            elements = value.get("L", ())
            value = elements[step] if step < len(elements) else None
        else:
            value = value.get("M", {}).get(step)
    found: Value | None = value
    return found


class Tokens:
    """A cursor over the tokens of one expression. `what` is the parameter's name, for messages."""

    def __init__(self, what: str, text: str) -> None:
        self.what = what
        self.names: set[str] = set()
        self.values: set[str] = set()
        self.paths: list[Path] = []
        self.place = 0
        self._tokens = list(self._split(text))

    @property
    def next(self) -> Token:
        """The token that comes next; it stays."""
        return self._tokens[self.place]

    def take(self) -> Token:
        """The token that comes next."""
        token = self._tokens[self.place]
        self.place += token.kind != "end"
        return token

    def keyword(self, *words: str) -> str | None:
        """Take one of these keywords if it comes next."""
        token = self.next
        if token.kind == "word" and token.text.upper() in words:
            self.place += 1
            return token.text.upper()
        return None

    def sign(self, *signs: str) -> str | None:
        """Take one of these signs if it comes next."""
        token = self.next
        if token.kind == "sign" and token.text in signs:
            self.place += 1
            return token.text
        return None

    def call(self, *functions: str) -> str | None:
        """Take the name of one of these functions and its opening parenthesis if they come next."""
        token = self.next
        if token.kind == "word" and token.text in functions and self._tokens[self.place + 1].text == "(":
            self.place += 2
            return token.text
        return None

    def expect(self, sign: str) -> None:
        """Take this sign. Raises Refusal when another token comes next."""
        if self.sign(sign) is None:
            raise self.syntax_error()

    def end(self) -> None:
        """Raises Refusal when anything is left."""
        if self.next.kind != "end":
            raise self.syntax_error()

    def value(self) -> str | None:
        """Take a value's placeholder if it comes next."""
        if self.next.kind != "value":
            return None
        self.values.add(self.next.text)
        return self.take().text

    def path(self) -> Path:
        """Take a document path. Raises Refusal when none comes next."""
        steps: list[str | int] = [self._step()]
        while sign := self.sign(".", "["):
            if sign == ".":
                steps.append(self._step())
                continue
            if self.next.kind != "index":
                raise self.syntax_error()
            steps.append(int(self.take().text))
            self.expect("]")
        if len(steps) > _STEPS_MAX:
            raise self.error(f"The document path has too many nesting levels; nesting levels: {len(steps)}")
        self.paths.append(Path(tuple(steps)))
        return self.paths[-1]

    def listed(self, one: Callable[[], T]) -> list[T]:
        """Take things with commas between them."""
        found = [one()]
        while self.sign(","):
            found.append(one())
        return found

    def error(self, why: str) -> Refusal:
        """The expression is not one; why."""
        return invalid(f"Invalid {self.what}: {why}")

    def syntax_error(self) -> Refusal:
        """What comes next may not stand there."""
        return self.error(f'Syntax error; token: "{self.next.text or "<EOF>"}"')

    def _step(self) -> str:
        token = self.next
        if token.kind == "name":
            self.names.add(token.text)
        elif token.kind != "word" or token.text.upper() in _KEYWORDS:
            raise self.syntax_error()
        elif token.text.upper() in RESERVED:
            raise self.error(f"Attribute name is a reserved keyword; reserved keyword: {token.text}")
        return self.take().text

    def _split(self, text: str) -> list[Token]:
        if not text.strip():
            raise self.error("The expression can not be empty;")
        tokens = []
        position = 0
        text = text.rstrip()
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                raise self.error(f'Syntax error; token: "{text[position:].strip()[0]}"')
            token = Token(str(match.lastgroup), match[str(match.lastgroup)])
            if token.kind in ("name", "value") and len(token.text) > _PLACEHOLDER_MAX:
                raise self.error(f"The expression contains a placeholder that is too long: {token.text[:40]}...")
            tokens.append(token)
            position = match.end()
        return [*tokens, Token("end", "")]
