"""Who may import whom (docs: the house, ARCHITECTURE). No ignore list: a wrong import is moved, not excused.

Imports inside functions and under TYPE_CHECKING count: a type is knowledge of the other room too.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "dynamirror"
SHARED = {"errors", "loops", "model", "ports", "settings", "state_ports"}
HANDS = {"follow", "copy", "prove", "fleet"}

# Room -> rooms of dynamirror it may import, beside itself. "prove.reconcile" is that one module of a room.
MAY_IMPORT: dict[str, set[str]] = {
    "": {"cli", "engines"},  # dynamirror/__init__.py and __main__.py
    "cli": {"engines", *HANDS, *SHARED},
    "engines": {*HANDS, *SHARED, "aws", "observe", "testing"},
    "fleet": {*SHARED, "follow", "copy", "prove.reconcile"},
    "follow": {*SHARED, "prove.reconcile"},
    "copy": {*SHARED, "prove.reconcile"},
    "prove": SHARED,
    "aws": SHARED,
    "observe": SHARED,
    "testing": SHARED,
    "loops": {"errors", "model", "ports"},
    "ports": {"errors", "model"},
    "state_ports": {"errors", "model"},
    "settings": {"errors", "model"},
    "model": {"errors"},
    "errors": set(),
}

# Third party package -> where it may be imported: a room, or a module and what lies under it.
OWNERS: dict[str, set[str]] = {
    "botocore": {"aws"},
    "click": {"cli"},
    "ministack": {"engines.demo"},
    "msgspec": set(MAY_IMPORT) - {"errors"},
    "prometheus_client": {"observe"},
    "rich": {"cli", "engines.demo", "engines.live_line"},
    "uvloop": {"engines", "cli"},
}

# What a pure decision has no use for.
IMPURE = {"asyncio", "os", "random", "selectors", "socket", "subprocess", "threading", "time", "uuid"}


def imported(tree: ast.AST, module: str, is_package: bool) -> Iterator[tuple[int, str]]:
    """Line and full dotted name of everything imported; relative imports are resolved against `module`."""
    here = module.split(".")
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            up = node.level - (1 if is_package else 0)
            base = here[: len(here) - up] if node.level else []
            stem = ".".join([*base, *(node.module.split(".") if node.module else [])])
            yield from ((node.lineno, f"{stem}.{alias.name}") for alias in node.names)


def within(name: str, place: str) -> bool:
    """Whether the dotted `name` is `place` or lies under it."""
    return name == place or name.startswith(place + ".")


def wrong(module: str, name: str) -> str | None:
    """Why `module` (dotted, without "dynamirror.") must not import `name`; None when it may."""
    room = module.partition(".")[0]
    if room not in MAY_IMPORT:
        return f"{room} is no room of the house: give it a line in MAY_IMPORT"
    top, _, inner = name.partition(".")
    if top == "dynamirror":
        other = inner.partition(".")[0]
        if other in ("", room, "__version__") or any(within(inner, place) for place in MAY_IMPORT[room]):
            return None
        return f"{room or 'dynamirror'} must not import {inner}"
    if top in sys.stdlib_module_names:
        return f"model is pure: no {top}" if room == "model" and top in IMPURE else None
    if not any(within(module, place) for place in OWNERS.get(top, ())):
        return f"{top} belongs to {', '.join(sorted(OWNERS.get(top, ()))) or 'no room'}, not to {room}"
    return None


def violations(source: str, module: str, is_package: bool = False) -> list[str]:
    """One line for each import of `source` that the house forbids."""
    found = imported(ast.parse(source), f"dynamirror.{module}".rstrip("."), is_package)
    return [f"line {line}: {why}" for line, name in found if (why := wrong(module, name))]


def module_of(path: Path) -> tuple[str, bool]:
    """Dotted name without "dynamirror.", and whether it is a package (the two files at the top are)."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    top_or_init = parts[-1] == "__init__" or parts == ("__main__",)
    return ".".join(parts[:-1] if top_or_init else parts), top_or_init


def test_the_house_is_in_order() -> None:
    paths = sorted(SOURCE.rglob("*.py"))
    assert paths
    found = [
        f"{path.relative_to(SOURCE)}: {line}"
        for path in paths
        for line in violations(path.read_text(), *module_of(path))
    ]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    "module,source",
    [
        ("model.lease", "import time"),
        ("model.lease", "def f():\n    from random import Random"),
        ("model.lease", "from ..ports import Clock"),
        ("model.lease", "import rich"),
        ("errors", "import msgspec"),
        ("errors", "from dynamirror.model import lease"),
        ("ports", "from dynamirror.settings import Limits"),
        (
            "follow.apply",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from dynamirror.aws import call",
        ),
        ("follow.apply", "from dynamirror.prove import verify"),
        ("follow.apply", "from dynamirror.copy.scan import page"),
        ("fleet.leases", "from dynamirror.prove.verify import verify"),
        ("prove.verify", "from dynamirror.fleet import shards"),
        ("aws.http", "from .. import follow"),
        ("engines.worker", "import dynamirror.cli.main"),
        ("engines.worker", "import botocore.session"),
        ("engines.worker", "from rich.live import Live"),
        ("cli.main", "from botocore import session"),
        ("observe.page", "import botocore"),
        ("", "from dynamirror.aws.http import Http"),
        ("tools", "import json"),
    ],
)
def test_a_wrong_import_is_found(module: str, source: str) -> None:
    assert violations(source, module)


@pytest.mark.parametrize(
    "module,source",
    [
        ("model.lease", "import msgspec\nfrom decimal import Decimal\nfrom ..errors import Refused"),
        ("follow.apply", "import asyncio\nfrom ..prove.reconcile import reconcile\nfrom . import read"),
        ("copy.scan", "from dynamirror.prove import reconcile"),
        ("fleet.shards", "from dynamirror.follow.shard_task import run"),
        ("engines.demo", "import rich.live\nfrom dynamirror.aws import http"),
        ("cli.main", "import click\nfrom rich import table\nfrom .. import __version__"),
        ("", "def main():\n    from dynamirror.cli.main import main"),
    ],
)
def test_a_right_import_is_not(module: str, source: str) -> None:
    assert not violations(source, module)
