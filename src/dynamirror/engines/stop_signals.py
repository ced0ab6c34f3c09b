"""SIGTERM and SIGINT ask a command for its orderly end."""

import asyncio
import logging
import signal
from collections.abc import Callable

# One request may arrive as two signals: `timeout` tells the process and its group, a terminal the whole pipeline.
ONE_REQUEST_S = 1.0

log = logging.getLogger("dynamirror")


def stop_by_signals(stop: Callable[[], None]) -> None:
    """Call `stop` at the first of them; one that comes later than a second after it does not wait: the process ends as
    after a crash."""
    loop = asyncio.get_running_loop()
    stopping = False

    def ask(name: str) -> None:
        nonlocal stopping
        if stopping:
            return
        stopping = True
        log.info("%s: stopping", name, extra={"event": "stopping", "facts": {"signal": name}})
        stop()
        loop.call_later(ONE_REQUEST_S, wait_no_more)

    def wait_no_more() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ask, number.name)
