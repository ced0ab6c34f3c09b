"""Measures files, functions and parameter lists of src against their aims.

What stands between aim and hard limit has to be named in ratchet.json, and the list only ever gets shorter
and its figures lower: `make ratchet` takes out what is mended. A new entry is written by hand and argued for.
"""

import argparse
import ast
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
LIST = Path(__file__).with_suffix(".json")


class Limit(NamedTuple):
    aim: int
    hard: int


LIMITS = {"file lines": Limit(300, 400), "lines": Limit(40, 70), "parameters": Limit(6, 7)}


class Size(NamedTuple):
    where: str  # a file, or file::Class.function
    what: str  # a key of LIMITS
    size: int

    @property
    def key(self) -> str:
        return f"{self.where} {self.what}"

    @property
    def limit(self) -> Limit:
        return LIMITS[self.what]


def functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Every function with its dotted name, those inside classes and functions too."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + node.name, node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from functions(node, f"{prefix}{node.name}.")
        else:
            yield from functions(node, prefix)


def sizes(source: str, path: str) -> Iterator[Size]:
    """All sizes of one file: `def` to last line, docstring included; self and cls are no parameters."""
    yield Size(path, "file lines", len(source.splitlines()))
    for name, function in functions(ast.parse(source)):
        where, arguments = f"{path}::{name}", function.args
        names = [a.arg for a in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]]
        yield Size(where, "lines", (function.end_lineno or function.lineno) - function.lineno + 1)
        yield Size(where, "parameters", sum(name not in ("self", "cls") for name in names))


def outgrown() -> list[Size]:
    """What exceeds its aim in src, in the order of the files."""
    return [
        size
        for path in sorted((ROOT / "src").rglob("*.py"))
        for size in sizes(path.read_text(), path.relative_to(ROOT).as_posix())
        if size.size > size.limit.aim
    ]


def complaints(found: list[Size], listed: dict[str, int]) -> list[str]:
    """What is wrong with the sizes `found` above their aims, given the list."""
    lines = []
    for size in found:
        aim, hard = size.limit
        if size.size > hard:
            lines.append(f"{size.key}: {size.size}, the hard limit is {hard}")
        elif size.key not in listed:
            lines.append(f"{size.key}: {size.size}, the aim is {aim}")
        elif size.size > listed[size.key]:
            lines.append(f"{size.key}: {size.size}, was {listed[size.key]} and may only shrink")
    stale = set(listed) - {size.key for size in found}
    return lines + [f"{key}: listed, but mended or gone: run `make ratchet`" for key in sorted(stale)]


def lowered(found: list[Size], listed: dict[str, int]) -> dict[str, int]:
    """The list without what is mended, each figure at most what it was. Never a new entry."""
    return {size.key: min(size.size, listed[size.key]) for size in found if size.key in listed}


def read_list() -> dict[str, int]:
    entries: dict[str, int] = json.loads(LIST.read_text())
    return entries


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lower", action="store_true", help="rewrite the list, downwards only")
    if parser.parse_args().lower:
        LIST.write_text(json.dumps(lowered(outgrown(), read_list()), indent=2) + "\n")
    found = complaints(outgrown(), read_list())
    print("\n".join(found) or "Every size is within its aim or on the list.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
