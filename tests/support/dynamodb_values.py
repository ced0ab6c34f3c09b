"""Random attribute values and expressions over a small space, so that conditions meet what they ask for."""

from random import Random
from typing import Any

Value = dict[str, Any]

NAMES = ("a", "b", "c", "d", "e")
TEXTS = ("", "a", "ab", "abc", "b", "ü€😀")
NUMBERS = ("0", "1", "2", "10", "-1", "1.0", "1E0", "0.5", "-0", "00012345678901234567890123456789012345678", "1E-130")
BINARIES = ("", "YQ==", "YWI=", "/w==")
SCALARS = ("S", "N", "B")
TYPES = ("S", "N", "B", "BOOL", "NULL", "SS", "NS", "BS", "L", "M")


def value(rng: Random, depth: int = 0) -> Value:
    """Any value; half of them are numbers and strings."""
    kind = rng.choice(("S", "N")) if rng.random() < 0.5 or depth > 2 else rng.choice(TYPES)
    return of_kind(rng, kind, depth)


def of_kind(rng: Random, kind: str, depth: int = 0) -> Value:
    """A value of this type."""
    match kind:
        case "S":
            return {"S": rng.choice(TEXTS)}
        case "N":
            return {"N": rng.choice(NUMBERS)}
        case "B":
            return {"B": rng.choice(BINARIES)}
        case "BOOL":
            return {"BOOL": rng.random() < 0.5}
        case "NULL":
            return {"NULL": True}
        case "SS":
            return {"SS": rng.sample(TEXTS[1:], rng.randint(1, 3))}
        case "NS":
            return {"NS": rng.sample(("0", "1", "2.0", "-1", "1E1"), rng.randint(1, 3))}
        case "BS":
            return {"BS": rng.sample(BINARIES[1:], rng.randint(1, 3))}
        case "L":
            return {"L": [value(rng, depth + 1) for _ in range(rng.randint(0, 3))]}
        case _:
            return {"M": {name: value(rng, depth + 1) for name in rng.sample(NAMES, rng.randint(0, 3))}}


class Scope:
    """Placeholders of one request, in the making."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.names: dict[str, str] = {}
        self.values: dict[str, Value] = {}

    def name(self, name: str) -> str:
        """The name as it is, or a placeholder for it."""
        if self.rng.random() < 0.6:
            return name
        self.names["#" + name] = name
        return "#" + name

    def given(self, value: Value) -> str:
        """A placeholder for a value."""
        placeholder = f":v{len(self.values)}"
        self.values[placeholder] = value
        return placeholder

    def path(self, name: str | None = None) -> str:
        """A path; every third goes into its attribute."""
        path = self.name(name or self.rng.choice(NAMES))
        while self.rng.random() < 0.25:
            inner = (
                f"[{self.rng.randint(0, 3)}]" if self.rng.random() < 0.5 else "." + self.name(self.rng.choice(NAMES))
            )
            path += inner
        return path

    def parameters(self) -> dict[str, Any]:
        """The request's members."""
        names = {"ExpressionAttributeNames": self.names} if self.names else {}
        return names | ({"ExpressionAttributeValues": self.values} if self.values else {})


def condition(scope: Scope, depth: int = 0) -> str:
    """A condition that the service takes."""
    rng = scope.rng
    if depth < 3 and rng.random() < 0.4:
        match rng.randint(0, 2):
            case 0:
                return f"NOT {condition(scope, depth + 1)}"
            case 1:
                word = rng.choice(("AND", "and", "OR", "or"))
                return f"{condition(scope, depth + 1)} {word} {condition(scope, depth + 1)}"
            case _:
                word = rng.choice(("AND", "OR"))
                return f"({condition(scope, depth + 1)} {word} {condition(scope, depth + 1)})"
    return rng.choice((_comparison, _comparison, _between, _in, _function, _function, _size))(scope)


def _comparison(scope: Scope) -> str:
    sign = scope.rng.choice(("=", "=", "<>", "<", "<=", ">", ">="))
    if scope.rng.random() < 0.15:
        one, other = scope.rng.sample(NAMES, 2)
        return f"{scope.path(one)} {sign} {scope.path(other)}"
    wanted = value(scope.rng) if sign in ("=", "<>") else of_kind(scope.rng, scope.rng.choice(SCALARS))
    sides = [scope.path(), scope.given(wanted)]
    if scope.rng.random() < 0.1:
        sides.reverse()
    return f"{sides[0]}{scope.rng.choice((' ', ''))}{sign} {sides[1]}"


def _between(scope: Scope) -> str:
    kind = scope.rng.choice(("S", "N"))
    low, high = ({"S": "a"}, {"S": "ab"}) if kind == "S" else ({"N": "0"}, {"N": "2.0"})
    return f"{scope.path()} BETWEEN {scope.given(low)} AND {scope.given(high)}"


def _in(scope: Scope) -> str:
    given = ", ".join(scope.given(value(scope.rng)) for _ in range(scope.rng.randint(1, 3)))
    return f"{scope.path()} IN ({given})"


def _size(scope: Scope) -> str:
    sign = scope.rng.choice(("=", "<>", "<", ">="))
    return f"size({scope.path()}) {sign} {scope.given({'N': str(scope.rng.randint(0, 3))})}"


def _function(scope: Scope) -> str:
    match scope.rng.randint(0, 4):
        case 0:
            return f"attribute_exists({scope.path()})"
        case 1:
            return f"attribute_not_exists ({scope.path()})"
        case 2:
            return f"attribute_type({scope.path()}, {scope.given({'S': scope.rng.choice(TYPES)})})"
        case 3:
            kind = scope.rng.choice(("S", "B"))
            return f"begins_with({scope.path()}, {scope.given(of_kind(scope.rng, kind))})"
        case _:
            return f"contains({scope.path()}, {scope.given(value(scope.rng))})"


def update(scope: Scope, nested: bool = True) -> str:
    """An update expression that the service takes; whether it can be carried out depends on the item.

    `nested`: paths that are changed may go into attributes.
    """
    rng = scope.rng
    names = rng.sample(NAMES, rng.randint(1, 3))
    sections: dict[str, list[str]] = {}
    for name in names:
        section = rng.choice(("SET", "SET", "REMOVE", "ADD", "DELETE"))
        sections.setdefault(section, []).append(_action(scope, section, name, nested))
    return " ".join(f"{section} {', '.join(actions)}" for section, actions in sections.items())


def _action(scope: Scope, section: str, name: str, nested: bool) -> str:
    rng = scope.rng
    if section == "SET":
        return f"{scope.path(name) if nested else scope.name(name)} = {_assigned(scope)}"
    if section == "REMOVE":
        return scope.path(name) if nested else scope.name(name)
    kind = rng.choice(("N", "SS", "NS", "BS") if section == "ADD" else ("SS", "NS", "BS"))
    # The API reference allows ADD and DELETE for top-level attributes only.
    return f"{scope.name(name)} {scope.given(of_kind(rng, kind))}"


def _assigned(scope: Scope) -> str:
    rng = scope.rng
    match rng.randint(0, 6):
        case 0:
            return f"{_number(scope)} {rng.choice('+-')} {_number(scope)}"
        case 1:
            return f"if_not_exists({scope.path()}, {scope.given(value(rng))})"
        case 2:
            ends = [f"if_not_exists({scope.path()}, {scope.given({'L': []})})", scope.given(of_kind(rng, "L"))]
            rng.shuffle(ends)
            return f"list_append({ends[0]}, {ends[1]})"
        case 3:
            return scope.path()
        case _:
            return scope.given(value(rng))


def _number(scope: Scope) -> str:
    match scope.rng.randint(0, 2):
        case 0:
            return scope.path()
        case 1:
            return f"if_not_exists({scope.path()}, {scope.given({'N': '0'})})"
        case _:
            return scope.given(of_kind(scope.rng, "N"))
