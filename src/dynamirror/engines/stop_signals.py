"""SIGTERM and SIGINT ask a command for its orderly end."""

import asyncio
import logging
import signal
from collections.abc import Callable

log = logging.getLogger("dynamirror")


def stop_by_signals(stop: Callable[[], None]) -> None:
    """Call `stop` at the first of them; a second one does not wait: the process ends as after a crash."""
    loop = asyncio.get_running_loop()

    def ask(name: str) -> None:
        log.info("%s: stopping", name, extra={"event": "stopping", "facts": {"signal": name}})
        stop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ask, number.name)
