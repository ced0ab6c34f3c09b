"""The part of an item that some paths name."""

from collections.abc import Sequence
from typing import Any

from dynamirror.testing.dynamodb.conditions import Item
from dynamirror.testing.dynamodb.tokens import Steps, at
from dynamirror.testing.dynamodb.values import Value

# What is wanted of a value: all (None), or these of its parts.
_Wanted = dict[str | int, Any]


def project(item: Item, paths: Sequence[Steps]) -> dict[str, Value]:
    """Only what the paths name; of lists the elements named, closed up, in order."""
    if all(len(path) == 1 for path in paths):
        return {name: item[name] for (name,) in paths if name in item}  # type: ignore[index,misc]
    wanted: _Wanted = {}
    for path in paths:
        if at(item, path) is None:
            continue
        inner = wanted
        for step in path[:-1]:
            inner = inner.setdefault(step, {})
        inner[path[-1]] = None
    return {str(name): _part(item[name], parts) for name, parts in wanted.items()}  # type: ignore[index]


def _part(value: Value, parts: _Wanted | None) -> Value:
    if parts is None:
        return value
    if "L" in value:
        return {"L": [_part(value["L"][step], parts[step]) for step in sorted(parts)]}
    return {"M": {step: _part(value["M"][step], inner) for step, inner in parts.items()}}
