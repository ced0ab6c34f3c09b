"""How an event is written: one line of text or JSON, fields bounded, secrets struck out.

A configuration of the user's (--log-config) may name the classes here as formatters and filter.
"""

import json
import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime

FIELD_LENGTH_MAX = 1000
FACTS_MAX = 40
MESSAGE_LENGTH_MAX = 4000
TRACEBACK_LENGTH_MAX = 30_000
STRUCK_OUT = "***"

_SECRET_KEY = re.compile(
    r"(secret|password|passwd|authorization|signature|credentials?|private_?key|"
    r"session_?token|security_?token|x-amz-security-token|^token$|access_?key$)",
    re.IGNORECASE,
)
# `Key: value`, `key=value` and `"key": "value"` inside a text.
_SECRET_IN_TEXT = re.compile(
    r"""((?:secret|password|authorization|signature|credential|token)[\w-]*["']?\s*[=:]\s*)"""
    r"""("[^"]*"|'[^']*'|(?:AWS4-HMAC-SHA256|Bearer|Basic)\s[^\n]*|[^\s,;&}]+)""",
    re.IGNORECASE,
)
_BARE = re.compile(r"[^\s\"'=\\\x00-\x1f]+")
# What would break a line, for str.splitlines and for terminals.
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")


class Redact(logging.Filter):
    """A net beneath the rule that no secret is ever logged: strikes values out in message, facts and traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Always True; the record is changed for every handler after this one too (twice does no harm)."""
        message = record.getMessage()
        struck = without_secrets(message)
        if struck != message:
            record.msg, record.args = struck, None
        if record.exc_info and not record.exc_text:
            record.exc_text = without_secrets(_PLAIN.formatException(record.exc_info))
        facts = getattr(record, "facts", None)
        if isinstance(facts, Mapping):
            record.facts = {str(key): _fact_without_secret(str(key), value) for key, value in facts.items()}
        return True


class TextLines(logging.Formatter):
    """`2026-01-31T12:00:00.123Z INFO message event=name key=value`; a traceback follows on lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        parts = [_time(record), record.levelname, _one_line(_clipped(record.getMessage(), MESSAGE_LENGTH_MAX))]
        parts += [f"{key}={_text_value(value)}" for key, value in _fields(record).items()]
        if record.exc_info:
            parts.append("\n" + _traceback(record))
        return " ".join(parts)


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, event, the facts, and the traceback if there is one.

    A fact whose key is one of ours is written as `fact_<key>`.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": _clipped(record.getMessage(), MESSAGE_LENGTH_MAX),
        }
        for key, value in _fields(record).items():
            line[f"fact_{key}" if key in line else key] = value
        if record.exc_info:
            line["traceback"] = _traceback(record)
        return json.dumps(line, ensure_ascii=False)


def without_secrets(text: str) -> str:
    """`text` with the values of secret-looking keys struck out."""
    return _SECRET_IN_TEXT.sub(lambda match: match[1] + STRUCK_OUT, text)


def _fact_without_secret(key: str, value: object) -> object:
    if _SECRET_KEY.search(key):
        return STRUCK_OUT
    return without_secrets(value) if isinstance(value, str) else value


def _fields(record: logging.LogRecord) -> dict[str, object]:
    """`event` and the facts: plain values as they are, everything else as bounded text."""
    fields: dict[str, object] = {}
    event = getattr(record, "event", None)
    if event is not None:
        fields["event"] = event
    facts = getattr(record, "facts", None)
    if isinstance(facts, Mapping):
        for key, value in list(facts.items())[:FACTS_MAX]:
            plain = value is None or isinstance(value, bool | int | float)
            fields[str(key)] = value if plain else _clipped(str(value), FIELD_LENGTH_MAX)
    return fields


def _text_value(value: object) -> str:
    text = str(value)
    return text if _BARE.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def _clipped(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}... ({len(text)} characters)"


def _one_line(text: str) -> str:
    return _CONTROL.sub(lambda match: repr(match[0])[1:-1], text)


def _traceback(record: logging.LogRecord) -> str:
    text = record.exc_text or (_PLAIN.formatException(record.exc_info) if record.exc_info else "")
    return _clipped(text, TRACEBACK_LENGTH_MAX)


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


_PLAIN = logging.Formatter()
