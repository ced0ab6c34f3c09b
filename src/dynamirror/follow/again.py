"""Reads once more what was read before and dropped."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from dynamirror.follow.read import ReadTools, ShardReader
from dynamirror.model.change import Page


async def pages_up_to(tools: ReadTools, shard_id: str, position: str, last_sequence: str) -> AsyncGenerator[Page, None]:
    """The changes of a shard behind `position`, up to and with `last_sequence`, in pages that are not empty.

    Raises Gap when they were trimmed meanwhile.
    """
    last = int(last_sequence)
    reader = ShardReader(tools, shard_id, position)
    # Nothing else is read before these are, so they need not wait to be asked for.
    reader.closed = True
    async with aclosing(reader.pages(lambda: None)) as pages:
        async for page in pages:
            wanted = [record for record in page.records if int(record.change.sequence_number) <= last]
            ended = len(wanted) < len(page.records) or (bool(wanted) and int(wanted[-1].change.sequence_number) == last)
            if wanted:
                page.records = wanted
                yield page
            if ended:
                return
