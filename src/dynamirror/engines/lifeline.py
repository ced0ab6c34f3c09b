"""A worker process's side of its supervisor (engines/supervise): it answers when it is asked, and does not outlive it.

Between the two are a pair of pipes that nobody else has. One byte asks, one line of JSON answers. When the supervisor
is gone, however it ended, its pipe ends too: then the worker stops in order, as after SIGTERM. All of it in a
thread: an event loop that stands still holds up neither.
"""

import logging
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress

import msgspec

from dynamirror.errors import Refused
from dynamirror.model.processes import Place, Told

# The variable that makes a process one of a supervisor's: a model.processes.Place as JSON.
VARIABLE = "DYNAMIRROR_SUPERVISED"
# An orderly end takes 6 s at most (engines/told); one that takes longer is left as a crash leaves it.
STOP_S = 8.0

log = logging.getLogger("dynamirror")


class Lifeline:
    """The worker's end of the pipes."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._tell: Callable[[], Told] = lambda: Told(started=False)

    def begin(self) -> None:
        """Answer from now on."""
        threading.Thread(target=self._answer, name="lifeline", daemon=True).start()

    def tells(self, tell: Callable[[], Told]) -> None:
        """What is answered. `tell` is called in another thread."""
        self._tell = tell

    def _answer(self) -> None:
        try:
            with (
                suppress(BrokenPipeError),
                os.fdopen(self.place.asks, "rb", buffering=0) as asks,
                os.fdopen(self.place.answers, "wb") as answers,
            ):
                while asks.read(1):
                    answers.write(msgspec.json.encode(self._tell()) + b"\n")
                    answers.flush()
        finally:
            # A worker that can tell nothing any more, and would not notice the supervisor's end, ends too.
            self._end()

    def _end(self) -> None:
        log.warning("the supervisor is gone: stopping", extra={"event": "supervisor_gone", "facts": {}})
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(STOP_S)
        os.kill(os.getpid(), signal.SIGKILL)


def lifeline_of(variable: str | None) -> Lifeline | None:
    """None where no supervisor started this process. Raises Refused: the variable is somebody else's."""
    if not variable:
        return None
    try:
        place = msgspec.json.decode(variable, type=Place)
        for pipe in (place.asks, place.answers):
            # What this process starts does not get them.
            os.set_inheritable(pipe, False)
    except (msgspec.DecodeError, OSError) as error:
        raise Refused(f"{VARIABLE} is for processes that --processes starts: leave it unset") from error
    return Lifeline(place)
