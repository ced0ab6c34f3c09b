"""Rows that nobody needs any more, where they may not be removed: they do no harm, but for their number."""

import logging
from collections.abc import Awaitable, Callable

from dynamirror.errors import AccessDenied


class Leftovers:
    """Of one kind. When a removal is asked for again is for the caller to say."""

    def __init__(self, log: logging.Logger, what: str = "rows that nobody needs any more") -> None:
        """`what`: as the line in the log begins that says so, once."""
        # The last removal was not allowed.
        self.kept = False
        self._log = log
        self._what = what
        self._said = False

    async def removed(self, remove: Callable[[], Awaitable[None]]) -> bool:
        """Whether that was allowed. Raises whatever else `remove` raises."""
        try:
            await remove()
        except AccessDenied as error:
            self.kept = True
            self._say(error)
            return False
        self.kept = False
        return True

    def _say(self, error: AccessDenied) -> None:
        if self._said:
            return
        self._said = True
        self._log.warning(
            "%s are not removed: %s; replication goes on", self._what, error, extra={"event": "rows_kept", "facts": {}}
        )
