"""The last event of a program that fails: in the logs like every other event, and once on the terminal."""

import logging
import sys

from dynamirror.observe.log_lines import without_secrets
from dynamirror.observe.logs import ENDINGS, TRACEBACKS

__all__ = ["told", "traceback_told", "without_secrets"]


def told(message: str, exit_code: int) -> bool:
    """Log why the program ends; True when the terminal has got it that way, False: it is for the caller to print.

    Nothing is logged where no logs have been set up.
    """
    log = logging.getLogger(ENDINGS)
    if not log.hasHandlers() or not log.isEnabledFor(logging.ERROR):
        return False
    facts = {"exit_code": int(exit_code)}
    record = log.makeRecord(
        ENDINGS, logging.ERROR, __file__, 0, "%s", (message,), None, extra={"event": "failed", "facts": facts}
    )
    log.handle(record)
    return any(
        _is_terminal(handler) and record.levelno >= handler.level and handler.filter(record)
        for handler in _handlers(log)
    )


def traceback_told(error: BaseException) -> bool:
    """Log an internal error with its traceback; False where no logs have been set up."""
    log = logging.getLogger(TRACEBACKS)
    if not log.hasHandlers():
        return False
    log.error("internal error", exc_info=error, extra={"event": "internal_error", "facts": {}})
    return True


def _is_terminal(handler: logging.Handler) -> bool:
    return isinstance(handler, logging.StreamHandler) and handler.stream in (sys.stderr, sys.stdout)


def _handlers(log: logging.Logger) -> list[logging.Handler]:
    """Those that get the logger's events."""
    found: list[logging.Handler] = []
    at: logging.Logger | None = log
    while at is not None:
        found += at.handlers
        at = at.parent if at.propagate else None
    return found
