"""Reads once more what was read before and dropped."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from dynamirror.follow.hold import Held
from dynamirror.follow.read import ReadTools, ShardReader
from dynamirror.model.change import Page


async def pages_up_to(
    tools: ReadTools,
    first_reader: ShardReader,
    position: str,
    held: Held,
    room: Callable[[], asyncio.Future[None] | None],
) -> AsyncGenerator[Page, None]:
    """The changes of a shard behind `position`, up to and with the last that was `held`, in pages that are not empty.
    `first_reader`: who has read it before, and knows how much comes through. `room`: as in ShardReader.pages.

    Raises Gap when they were trimmed meanwhile; not for what is `left` of them behind a gap that is noted. Behind a
    number the service says so itself. The shard's oldest record is whatever is left, so there it must be the one that
    it was:

        1 the first page of a shard is received, held, and dropped; 2 it is trimmed; 3 it is asked for again, and what
        comes is the page after it: applied, the checkpoint would pass changes that nobody has applied
    """
    last, begun = int(held.last_sequence), held.left
    reader = ShardReader(tools, first_reader.shard_id, position, size=first_reader.size)
    async with aclosing(reader.pages(room)) as pages:
        async for page in pages:
            if not begun and page.records:
                begun = page.records[0].change.sequence_number == held.first_sequence
            if (page.records and not begun) or reader.empty_until_ms is not None:
                break
            wanted = [record for record in page.records if int(record.change.sequence_number) <= last]
            ended = len(wanted) < len(page.records) or (bool(wanted) and int(wanted[-1].change.sequence_number) == last)
            if wanted:
                page.records = wanted
                yield page
            if ended:
                return
    if not held.left:
        raise reader.gap("changes that had to wait were trimmed before they were read again")
