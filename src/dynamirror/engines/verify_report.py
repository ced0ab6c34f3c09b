"""The report file of a verify: one JSON line for each key that differs, appended as it is found."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import msgspec

from dynamirror.errors import Refused
from dynamirror.model.verify import Found

FIRST_MAX = 10


class Report:
    """Keeps the first ones for the page too. A file that is there is appended to: a restart goes on in it."""

    def __init__(self, path: Path | None, wall_s: Callable[[], float]) -> None:
        """Raises Refused when the file cannot be written."""
        self.first: list[Found] = []
        self._wall_s = wall_s
        self._file: TextIO | None = None
        if path is not None:
            try:
                self._file = path.open("a", encoding="utf-8")
            except OSError as error:
                raise Refused(f"--report {path}: {error.strerror}; give a file that can be written") from error

    def __call__(self, found: Found) -> None:
        """Note one."""
        if found.mended is None and len(self.first) < FIRST_MAX:
            self.first.append(found)
        if self._file is not None:
            self._file.write(self._line(found) + "\n")
            self._file.flush()

    def close(self) -> None:
        """No more lines."""
        if self._file is not None:
            self._file.close()

    def _line(self, found: Found) -> str:
        at = datetime.fromtimestamp(self._wall_s(), UTC).isoformat(timespec="seconds")
        line: dict[str, object] = {"at": at, "class": found.kind.value, "key": found.key}
        if found.path:
            line["path"] = found.path
        if found.mended is not None:
            line["mended"] = found.mended
        return msgspec.json.encode(line).decode()
