"""One live line on a terminal, below the log lines. Imported where there is a terminal: rich takes its time.

While it is there, the log's own lines of the progress are left out on this terminal.
"""

import logging
from collections.abc import Mapping
from typing import TextIO, cast

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from dynamirror.settings.groups import LogSettings

_BAR_WIDTH = 20


def live_line(log: LogSettings, stream: TextIO, environ: Mapping[str, str]) -> "LiveLine | None":
    """None where lines are read by machines, or by a terminal that cannot go back to a line."""
    plain = log.format != "text" or log.config_file is not None or bool(environ.get("NO_COLOR"))
    if plain or not stream.isatty() or environ.get("TERM", "dumb") in ("", "dumb", "unknown"):
        return None
    return LiveLine(stream)


class LiveLine:
    """One line on `stream`. Log lines that go there are printed above it, whole."""

    def __init__(self, stream: TextIO) -> None:
        """The logs are set up."""
        self._stream = stream
        self._console = Console(file=stream, force_terminal=True)
        self._live: Live | None = None
        self._handlers = [
            handler
            for handler in logging.getLogger().handlers
            if isinstance(handler, logging.StreamHandler) and handler.stream is stream
        ]
        for handler in self._handlers:
            handler.addFilter(_is_no_progress)

    def show(self, text: str, share: float | None) -> None:
        """Put the line there, or another in its place; `share` makes a bar."""
        if self._live is None:
            self._live = self._begin()
        row = Table.grid(padding=(0, 2))
        said = Text(text, no_wrap=True, overflow="ellipsis")
        if share is None:
            row.add_row(said)
        else:
            row.add_row(ProgressBar(total=1.0, completed=share, width=_BAR_WIDTH), said)
        self._live.update(row, refresh=True)

    def hide(self) -> None:
        """Take the line away, for good; the log goes straight to the stream again. Idempotent."""
        for handler in self._handlers:
            handler.setStream(self._stream)
            handler.removeFilter(_is_no_progress)
        live, self._live = self._live, None
        if live is not None:
            live.stop()

    def _begin(self) -> Live:
        live = Live(
            console=self._console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
        )
        live.start()
        # Else a program that is killed leaves a terminal without one.
        self._console.show_cursor(True)
        above = cast(TextIO, _Above(self._console))
        for handler in self._handlers:
            handler.setStream(above)
        return live


class _Above:
    """What a handler of logs writes to: each event is printed above the line, neither wrapped nor coloured."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def write(self, text: str) -> None:
        self._console.print(Text(text.removesuffix("\n")), soft_wrap=True, highlight=False)

    def flush(self) -> None:
        """Printed is flushed."""


def _is_no_progress(record: logging.LogRecord) -> bool:
    return getattr(record, "event", None) not in ("copy_progress", "verify_progress")
