"""What a start waits for, said aloud and not for ever: an endpoint that takes requests and never answers looks like a
program that hangs.

For checks and set-up, which only read, or may be repeated; the data path has its own time-outs.
"""

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from dynamirror.aws.control_plane import Encryption
from dynamirror.engines.reach import Control, Endpoint, Reach
from dynamirror.errors import Side, Unanswered
from dynamirror.model.key import KeySchema
from dynamirror.ports import TableFacts

log = logging.getLogger("dynamirror")

SAY_EVERY_S = 5.0
# One attempt of the control plane may take 20 s; a service that is there answers in milliseconds.
ANSWER_WITHIN_S = 30.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Question:
    """Who is asked what."""

    side: Side
    url: str
    # Operation and what it is for: "DescribeTable of Orders".
    what: str

    def __str__(self) -> str:
        return f"{self.side.value} at {self.url}: {self.what}"


async def aloud(what: object, call: Coroutine[Any, Any, T], most_s: float | None = None) -> T:
    """The result of `call`; every 5 s a line says that `what` is being waited for.

    Raises TimeoutError after `most_s`; the call is cancelled then, and also when the caller is.
    """
    task = asyncio.ensure_future(call)
    waited_s = 0.0
    try:
        while not (await asyncio.wait({task}, timeout=SAY_EVERY_S))[0]:
            waited_s += SAY_EVERY_S
            if most_s is not None and waited_s >= most_s:
                raise TimeoutError
            log.warning(
                "no answer for %g s, still waiting (%s)",
                waited_s,
                what,
                extra={"event": "waiting", "facts": {"what": str(what), "waited_s": waited_s}},
            )
        return await task
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})


async def answered(question: Question, call: Coroutine[Any, Any, T]) -> T:
    """The answer, within 30 s. Raises what the call raises, Unanswered when nothing has come by then."""
    try:
        return await aloud(question, call, ANSWER_WITHIN_S)
    except TimeoutError as failure:
        raise Unanswered(
            question.side,
            f"no answer for {ANSWER_WITHIN_S:g} s ({question}); check the endpoint, the Region, the network and "
            "HTTPS_PROXY",
        ) from failure


@dataclass(frozen=True, slots=True)
class ControlAloud:
    """A Control whose waiting is said."""

    control: Control
    side: Side
    url: str

    async def describe_table(self, name: str) -> TableFacts:
        """See reach.Control."""
        return await answered(self._asked(f"DescribeTable of {name}"), self.control.describe_table(name))

    async def encryption(self, name: str) -> Encryption | None:
        """See reach.Control."""
        return await answered(self._asked(f"DescribeTable of {name}"), self.control.encryption(name))

    async def enable_stream(self, name: str) -> TableFacts:
        """See reach.Control. It may well take minutes."""
        return await aloud(self._asked(f"switching the stream of {name} on"), self.control.enable_stream(name))

    async def create_table(self, name: str, schema: KeySchema, encryption: Encryption | None = None) -> TableFacts:
        """See reach.Control. It may well take minutes."""
        return await aloud(self._asked(f"creating {name}"), self.control.create_table(name, schema, encryption))

    def _asked(self, what: str) -> Question:
        return Question(self.side, self.url, what)


@dataclass(frozen=True, slots=True)
class ReachAloud:
    """A Reach whose control planes say what they wait for."""

    source: Endpoint
    streams: Endpoint
    destination: Endpoint
    state: Endpoint
    source_control: Control
    destination_control: Control
    state_control: Control


def reach_aloud(reach: Reach) -> Reach:
    """`reach`, said aloud."""
    return ReachAloud(
        reach.source,
        reach.streams,
        reach.destination,
        reach.state,
        ControlAloud(reach.source_control, Side.SOURCE, reach.source.url),
        ControlAloud(reach.destination_control, Side.DESTINATION, reach.destination.url),
        ControlAloud(reach.state_control, Side.STATE, reach.state.url),
    )
