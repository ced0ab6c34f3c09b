"""`--processes`: how many workers there are on this machine."""

import re

from dynamirror.errors import Refused

AUTO = "auto"
PROCESSES_MAX = 64


def parsed_processes(text: str, label: str) -> int | None:
    """None stands for one a core. Raises Refused."""
    if text.lower() == AUTO:
        return None
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII) or not 1 <= int(text) <= PROCESSES_MAX:
        raise Refused(f"{label} {text}: give 1 to {PROCESSES_MAX}, or {AUTO} for one a core")
    return int(text)


def processes_on(cores: int, wanted: int | None) -> int:
    """How many there are on a machine with so many cores."""
    return wanted if wanted is not None else max(1, min(cores, PROCESSES_MAX))
