"""`plan --diff-schema`: the section that says how the two tables are defined differently."""

from collections.abc import Iterator, Mapping
from typing import Any

from dynamirror.engines.plan import SchemaDiff


def schema_document(found: SchemaDiff | None) -> dict[str, Any] | None:
    """As JSON has it; None: not asked for. `compared` is false where it is not known, and `why` says why."""
    if found is None:
        return None
    return {
        "compared": not found.why,
        **({"why": found.why} if found.why else {}),
        "differences": [
            {"severity": one.severity.value, "setting": one.setting, "line": one.line} for one in found.differences
        ],
    }


def schema_rows(shown: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Severity, setting and line of each difference, the worst first; one row where there is none to show."""
    if not shown["compared"]:
        yield "schema", "", shown["why"]
    elif not shown["differences"]:
        yield "schema", "", "both tables are defined alike"
    for one in shown["differences"]:
        yield one["severity"], one["setting"], one["line"]
