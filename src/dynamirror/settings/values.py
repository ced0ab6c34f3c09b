"""A value of one flag: from text, or as a program gives it, to the type of the flag's kind, within its limits."""

import re
from pathlib import Path
from typing import TypeAlias

from dynamirror.errors import Refused
from dynamirror.settings.flag import Flag, Kind

Value: TypeAlias = str | bool | int | float | Path

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_SECONDS_OF_UNIT = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_TYPES_OF_KIND: dict[Kind, tuple[type, ...]] = {
    "text": (str,),
    "choice": (str,),
    "int": (int,),
    "duration": (int, float),
    "switch": (bool,),
    "path": (Path,),
}
_YES = frozenset({"1", "true", "yes", "on"})
_NO = frozenset({"0", "false", "no", "off"})


def converted(flag: Flag, value: Value, label: str) -> Value:
    """`value` in the type of the flag's kind, within its limits. `label` is how the user gave it."""
    if isinstance(value, str):
        if not value.strip():
            raise Refused(f"{label} is empty: give {flag.metavar or 'true or false'}, or leave it out")
        value = _of_text(flag, value.strip(), label)
    if isinstance(value, bool) != (flag.kind == "switch") or not isinstance(value, _TYPES_OF_KIND[flag.kind]):
        raise Refused(f"{label}: {value!r} is not of the kind {flag.kind}")
    if isinstance(value, int | float):
        _check_limits(flag, value, label)
    return value


def _of_text(flag: Flag, text: str, label: str) -> Value:
    if flag.kind == "int":
        if not re.fullmatch(r"[+-]?\d+", text, re.ASCII):
            raise Refused(f"{label} {text}: not a whole number")
        return int(text)
    if flag.kind == "duration":
        match = _DURATION.fullmatch(text)
        if match is None:
            raise Refused(f"{label} {text}: not a duration; give a number and its unit, as 500ms, 30s, 2m or 1h")
        return float(match[1]) * _SECONDS_OF_UNIT[match[2]]
    if flag.kind == "switch":
        if text.lower() not in _YES | _NO:
            raise Refused(f"{label}={text}: give true or false")
        return text.lower() in _YES
    if flag.kind == "choice":
        for choice in flag.choices:
            if choice.lower() == text.lower():
                return choice
        raise Refused(f"{label} {text}: give one of {', '.join(flag.choices)}")
    return Path(text) if flag.kind == "path" else text


def _check_limits(flag: Flag, value: float, label: str) -> None:
    if flag.least is not None and flag.most is not None and not flag.least <= value <= flag.most:
        unit = "s" if flag.kind == "duration" else ""
        raise Refused(f"{label} {value:g}{unit}: must be {flag.limits}")
