"""What a verify is given from outside."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from dynamirror.errors import Side
from dynamirror.model.key import KeyCodec
from dynamirror.model.verify import Found, Lives
from dynamirror.ports import Clock, ItemReader, ItemSource


async def no_pace(_side: Side) -> None:
    """Reading as fast as the tables answer."""


@dataclass(frozen=True, slots=True)
class VerifyTools:
    """Both tables, by Side.SOURCE and Side.DESTINATION, and what all parts share."""

    scans: Mapping[Side, ItemSource]
    items: Mapping[Side, ItemReader]
    codec: KeyCodec
    clock: Clock
    random: Callable[[], float]
    # How long a difference has to last, now: longer while a copy holds changes back.
    patience_s: Callable[[], float]
    lives: Lives
    report: Callable[[Found], None]
    # Awaited before each page and each reading of a side.
    pace: Callable[[Side], Awaitable[None]] = no_pace
