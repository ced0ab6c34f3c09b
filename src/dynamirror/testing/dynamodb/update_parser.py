"""Reading update expressions."""

from dynamirror.testing.dynamodb.condition_parser import path_of
from dynamirror.testing.dynamodb.conditions import Given, Operand
from dynamirror.testing.dynamodb.expression import Notes
from dynamirror.testing.dynamodb.tokens import Tokens
from dynamirror.testing.dynamodb.updates import Action, Add, Arithmetic, Assign, Delete, IfNotExists, ListAppend, Remove
from dynamirror.testing.dynamodb.values import SETS


def actions(tokens: Tokens, notes: Notes) -> tuple[Action, ...]:
    """All sections, each once at most. Raises Refusal."""
    found: list[Action] = []
    seen: set[str] = set()
    while section := tokens.keyword("SET", "REMOVE", "ADD", "DELETE"):
        if section in seen:
            raise tokens.error(f'The "{section}" section can only be used once in an update expression;')
        seen.add(section)
        found.append(_action(section, tokens, notes))
        while tokens.sign(","):
            found.append(_action(section, tokens, notes))
    if not found:
        raise tokens.syntax_error()
    return tuple(found)


def _action(section: str, tokens: Tokens, notes: Notes) -> Action:
    path = tokens.path()
    if section == "REMOVE":
        return Remove(path)
    if section == "SET":
        tokens.expect("=")
        return Assign(path, _assigned(tokens, notes))
    placeholder = tokens.value()
    if placeholder is None:
        raise tokens.syntax_error()
    given = Given(placeholder)
    notes.demand(SETS | {"N"} if section == "ADD" else SETS, section, given)
    return Add(path, given) if section == "ADD" else Delete(path, given)


def _assigned(tokens: Tokens, notes: Notes) -> Operand:
    found = _term(tokens, notes)
    sign = tokens.sign("+", "-")
    if sign is None:
        return found
    other = _term(tokens, notes)
    notes.operator(sign)
    notes.demand(frozenset({"N"}), sign, found, other)
    return Arithmetic(sign, found, other)


def _term(tokens: Tokens, notes: Notes) -> Operand:
    if tokens.call("if_not_exists"):
        notes.operator("if_not_exists")
        path = path_of(tokens, "if_not_exists")
        tokens.expect(",")
        found: Operand = IfNotExists(path, _term(tokens, notes))
    elif tokens.call("list_append"):
        notes.operator("list_append")
        one = _term(tokens, notes)
        tokens.expect(",")
        other = _term(tokens, notes)
        notes.demand(frozenset({"L"}), "list_append", one, other)
        found = ListAppend(one, other)
    else:
        placeholder = tokens.value()
        return Given(placeholder) if placeholder is not None else tokens.path()
    tokens.expect(")")
    return found
