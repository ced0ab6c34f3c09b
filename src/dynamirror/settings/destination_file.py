"""`--destination-settings FILE`: how a destination that is made is to differ from its source, as TOML or JSON.

The keys are those of model/table_overrides; docs/reference/destination-settings.md has them with an example.
"""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from dynamirror.errors import Refused
from dynamirror.model.table_overrides import check_overrides

Overrides: TypeAlias = Mapping[str, object]
_FLAG = "--destination-settings"


def read_destination_file(path: Path) -> Overrides:
    """What the file says, checked as far as it can be without the source. Raises Refused, in one line with its name.

    What depends on the source (names of indexes, capacity beside its billing) is checked before anything is made.
    """
    label = f"{_FLAG} {path}"
    kind = path.suffix.lower()
    if kind not in (".toml", ".json"):
        raise Refused(f"{label}: the name must end in .toml or .json")
    try:
        text = path.read_text(encoding="utf-8")
        found: Any = json.loads(text, object_pairs_hook=_each_once) if kind == ".json" else tomllib.loads(text)
    except OSError as error:
        raise Refused(f"{label}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise Refused(f"{label}: {error}") from error
    if not isinstance(found, dict):
        raise Refused(f"{label}: must be an object of settings by name")
    try:
        check_overrides(found)
    except Refused as error:
        raise Refused(f"{label}: {error}") from error
    return found


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """As TOML has it: JSON's reader would take the last."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)} stands there twice")
    return found
