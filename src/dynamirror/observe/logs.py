"""Logging set up: a terminal and two rotating files, one line an event, keys that a machine can read.

Any module logs with the standard library; `extra={"event": name, "facts": {...}}` gives the event its name and
its keys. Called once at start by `engines/launch`; promises bounded files and no secret in any line.
"""

import fcntl
import json
import logging
import logging.config
import re
import tomllib
from collections.abc import Iterator
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO, Any, TextIO

from dynamirror.errors import Refused
from dynamirror.observe.log_lines import JsonLines, Redact, TextLines
from dynamirror.settings.groups import LogSettings

# Per file; with the backups a worker keeps at most 2 x 6 x 16 MiB.
FILE_BYTES_MAX = 16 * 1024 * 1024
BACKUPS = 5
# Workers of one task on one machine that can each have their own files.
WORKERS_MAX = 1000
# Events of these go to the second file, as in the Java tool: who has which shard, and how far it is.
LEASE_LOGGERS = ("dynamirror.leases", "dynamirror.shard")
# Tracebacks of internal errors: in the files always, on a terminal only at DEBUG.
TRACEBACKS = "dynamirror.traceback"
# Why the program ends: on a terminal in text it is the command's own last line, which needs no time stamp.
ENDINGS = "dynamirror.end"
_LOG4J = frozenset({".properties", ".xml"})


def set_up_logs(settings: LogSettings, task: str, host: str, stream: TextIO) -> Path | None:
    """Send events to `stream` and, with a directory, to `<task>-<host>-<n>.log` and `<task>-<host>-<n>-leases.log`.

    `n` is the first number that no other process uses, so that restarts go on in the same files. Returns the first
    file. A second call replaces what the first set up. Raises Refused when directory or configuration cannot be used.
    """
    if settings.config_file is not None:
        _configure(settings.config_file)
        return None
    terminal = logging.StreamHandler(stream)
    left_out = {TRACEBACKS} if settings.level != "DEBUG" else set()
    if settings.format == "text":
        left_out.add(ENDINGS)
    terminal.addFilter(lambda record: record.name not in left_out)
    handlers: list[logging.Handler] = [terminal]
    first = None
    if settings.directory is not None:
        first = _free_file(settings.directory, _file_stem(f"{task}-{host}"))
        handlers += _file_handlers(first)
    for handler in handlers:
        handler.setFormatter(JsonLines() if settings.format == "json" else TextLines())
        handler.addFilter(Redact())
    logging.basicConfig(handlers=handlers, level=logging.WARNING, force=True)
    logging.getLogger("dynamirror").setLevel(settings.level)
    return first


def _file_handlers(first: Path) -> Iterator[logging.Handler]:
    application = _rotating(first)
    application.addFilter(lambda record: not _of_leases(record))
    yield application
    leases = _rotating(first.with_name(f"{first.stem}-leases.log"))
    leases.addFilter(_of_leases)
    yield leases


def _rotating(path: Path) -> logging.Handler:
    try:
        return RotatingFileHandler(path, maxBytes=FILE_BYTES_MAX, backupCount=BACKUPS, encoding="utf-8")
    except OSError as error:
        raise Refused(f"cannot write the log file {path}: {error.strerror}") from error


def _of_leases(record: logging.LogRecord) -> bool:
    return record.name.startswith(LEASE_LOGGERS)


# Locks are held by open files; dropping one would free its number.
_held: list[IO[str]] = []


def _free_file(directory: Path, stem: str) -> Path:
    """The application's log file with the lowest number whose lock is free; takes the lock for the process's life."""
    while _held:
        _held.pop().close()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for number in range(1, WORKERS_MAX + 1):
            lock = (directory / f".{stem}-{number}.lock").open("w")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
                continue
            _held.append(lock)
            return directory / f"{stem}-{number}.log"
    except (FileExistsError, NotADirectoryError) as error:
        raise Refused(
            f"--log-dir {directory}: that is, or is below, a file; give a directory that can be written"
        ) from error
    except OSError as error:
        raise Refused(f"--log-dir {directory}: {error.strerror}; give a directory that can be written") from error
    raise Refused(f"--log-dir {directory}: {WORKERS_MAX} workers of this task log there already")


def _file_stem(name: str) -> str:
    # A file name has at most 255 bytes; number, ending and rotation take their part.
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name)[:220]


def _configure(path: Path) -> None:
    """Hand a dictConfig file to the standard library, and put the redaction on every handler that it made."""
    config = _read_config(path)
    config.setdefault("version", 1)
    config.setdefault("disable_existing_loggers", False)
    try:
        logging.config.dictConfig(config)
    except (ValueError, TypeError, AttributeError, ImportError, OSError) as error:
        cause = error.__cause__ or error
        raise Refused(
            f"--log-config {path}: {error}: {cause}" if cause is not error else f"--log-config {path}: {error}"
        ) from error
    loggers = [logging.getLogger(), *map(logging.getLogger, logging.root.manager.loggerDict)]
    for handler in {handler for logger in loggers for handler in logger.handlers}:
        handler.addFilter(Redact())


def _read_config(path: Path) -> dict[str, Any]:
    if path.suffix.lower() in _LOG4J:
        raise Refused(
            f"--log-config {path}: this is a log4j file; write Python's logging configuration (dictConfig) "
            "as TOML or JSON instead, as docs/reference/logs.md shows"
        )
    if path.suffix.lower() not in (".toml", ".json"):
        raise Refused(f"--log-config {path}: the name must end in .toml or .json")
    try:
        text = path.read_text(encoding="utf-8")
        config = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except OSError as error:
        raise Refused(f"--log-config {path}: {error.strerror}") from error
    except ValueError as error:
        raise Refused(f"--log-config {path}: {error}") from error
    if not isinstance(config, dict):
        raise Refused(f"--log-config {path}: must be an object of dictConfig's keys")
    return config
