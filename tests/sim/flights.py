"""Batches on their way to the destination: what may still be applied, and from whom."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from dynamirror.model.change import Write
from dynamirror.model.key import Key

# The moment at which a batch of the copy leaves; others are named by their operation.
PAGE_SENT = "BatchWriteItem of a page"


def is_java(worker: str) -> bool:
    """Workers are known by their names here."""
    return worker.startswith("java")


@dataclass(eq=False, slots=True)
class Flight:
    """One BatchWriteItem that has left. `overslept`: its machine froze between the look at the permit and the wire."""

    worker: str
    writes: Sequence[Write]
    overslept: bool


@dataclass(slots=True)
class Departure:
    """What a task is about to send, and when it decided to."""

    writes: Sequence[Write]
    decided_at_s: float


_DEPARTURE: ContextVar[Departure | None] = ContextVar("departure", default=None)


@contextmanager
def departing(writes: Sequence[Write]) -> Iterator[None]:
    """While entered, a BatchWriteItem that this task sends carries these writes."""
    token = _DEPARTURE.set(Departure(writes, asyncio.get_running_loop().time()))
    try:
        yield
    finally:
        _DEPARTURE.reset(token)


def flight_of(worker: str) -> Flight | None:
    """The batch that this task is sending at this moment."""
    departure = _DEPARTURE.get()
    if departure is None:
        return None
    return Flight(worker, departure.writes, asyncio.get_running_loop().time() > departure.decided_at_s)


def sends_page() -> bool:
    """Whether the batch that this task is about to send is of the copy."""
    departure = _DEPARTURE.get()
    return departure is not None and not departure.writes[0].sequence_number


class Flights:
    """All that is on its way and will be applied."""

    def __init__(self) -> None:
        self._of_key: dict[Key, set[Flight]] = defaultdict(set)

    def left(self, flight: Flight) -> None:
        for write in flight.writes:
            self._of_key[write.key].add(flight)

    def landed(self, flight: Flight) -> None:
        for write in flight.writes:
            self._of_key[write.key].discard(flight)

    def of(self, key: Key) -> Iterator[tuple[Flight, Write]]:
        """What may still be applied to an item, in no order."""
        for flight in self._of_key.get(key, ()):
            for write in flight.writes:
                if write.key == key:
                    yield flight, write
