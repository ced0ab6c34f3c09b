"""What is known of an expression beside its tree: what a request has to give it, and the service's limits on it."""

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from dynamirror.testing.dynamodb.conditions import Given, Operand
from dynamirror.testing.dynamodb.tokens import Path

T = TypeVar("T")

# Developer Guide, "Service, account, and table quotas": expression parameters.
EXPRESSION_BYTES_MAX = 4096
OPERATORS_MAX = 300
IN_MAX = 100


@dataclass(frozen=True, slots=True)
class Demand:
    """A given value must be of one of these types, whatever the item: the request is refused otherwise."""

    placeholder: str
    kinds: frozenset[str]
    operator: str


@dataclass(frozen=True, slots=True)
class Expression(Generic[T]):
    """What an expression says, with the placeholders that it uses and what these must be."""

    what: str
    tree: T
    names: frozenset[str]
    values: frozenset[str]
    # Every path in it, as often as it stands there.
    paths: tuple[Path, ...]
    nested: tuple[Path, ...]
    demands: tuple[Demand, ...]
    # Lower and upper bound of a BETWEEN.
    bounds: tuple[tuple[str, str], ...]
    # Two operands of one operator, which must not be the same path.
    distinct: tuple[tuple[str, Path, Path], ...]


@dataclass(slots=True)
class Notes:
    """Taken while an expression is read."""

    demands: list[Demand] = field(default_factory=list)
    bounds: list[tuple[str, str]] = field(default_factory=list)
    distinct: list[tuple[str, Path, Path]] = field(default_factory=list)
    operators: int = 0

    def demand(self, kinds: frozenset[str], operator: str, *operands: Operand) -> None:
        """These operands, as far as they are given values, must be of these types."""
        for operand in operands:
            if isinstance(operand, Given):
                self.demands.append(Demand(operand.placeholder, kinds, operator))

    def operator(self, operator: str, first: Operand | None = None, *others: Operand) -> None:
        """One more operator or function, whose first operand must differ from its others."""
        self.operators += 1
        for other in others:
            if isinstance(first, Path) and isinstance(other, Path):
                self.distinct.append((operator, first, other))
