"""One segment of both tables, page by page, until all its items have met or are suspects.

DynamoDB does not promise that an item is in the same segment of both tables. Where it is not, both its halves become
suspects, which are looked at by key: dear, and right all the same.
"""

import asyncio
import logging

from dynamirror.errors import Retry, Side
from dynamirror.loops.patience import CredentialsPatience
from dynamirror.model.backoff import Backoff
from dynamirror.model.item_digest import quick_digest
from dynamirror.model.meeting import Meeting
from dynamirror.ports import ScanPage
from dynamirror.prove.ledger import Ledger
from dynamirror.prove.suspects import Suspects
from dynamirror.prove.verify_tools import PAGE_ITEMS, VerifyTools

# One side is read alone while it is so many unmatched items behind the other.
AHEAD_MAX = 2 * PAGE_ITEMS
WAITING_BYTES_MAX = 2 * 1024 * 1024
RETRY = Backoff(first_s=0.1, most_s=5.0)

log = logging.getLogger("dynamirror.verify")


class SegmentPair:
    """Reads one segment once."""

    def __init__(self, tools: VerifyTools, ledger: Ledger, suspects: Suspects, place: tuple[int, int]) -> None:
        """`place`: the segment's number, and how many there are."""
        self._tools = tools
        self._ledger = ledger
        self._suspects = suspects
        self._number, self._segments = place
        self._meeting = Meeting(WAITING_BYTES_MAX)
        # ExclusiveStartKey of the next page of each side that has one.
        self._after = {Side.SOURCE: b"", Side.DESTINATION: b""}
        self._credentials = {side: CredentialsPatience(tools.clock) for side in self._after}

    async def run(self) -> None:
        """Return when all was read. Raises (in a group) Stop."""
        self._ledger.begin(self._number)
        while self._after:
            async with asyncio.TaskGroup() as group:
                pages = {side: group.create_task(self._page(side)) for side in self._next()}
            for side, page in pages.items():
                await self._met(side, page.result())
        self._ledger.read(self._number)

    def _next(self) -> list[Side]:
        """Both sides, or the one that is far behind."""
        here, there = (self._meeting.waiting(side) for side in (Side.SOURCE, Side.DESTINATION))
        behind = Side.DESTINATION if here > there else Side.SOURCE
        if abs(here - there) > AHEAD_MAX and behind in self._after:
            return [behind]
        return list(self._after)

    async def _met(self, side: Side, page: ScanPage) -> None:
        key_of = self._tools.codec.of
        found = self._meeting.add(side, [(key_of(item), quick_digest(item)) for item in page.items])
        self._ledger.items(self._number, side, len(page.items))
        if page.last_key:
            self._after[side] = page.last_key
        else:
            del self._after[side]
            found += self._meeting.end(side)
        await self._suspects.add(found, self._number, self._ledger.suspect)

    async def _page(self, side: Side) -> ScanPage:
        attempt, size = 0, self._tools.page_sizes[side]
        while True:
            asked = size.present
            try:
                with size.reading(asked):
                    page = await self._tools.scans[side].scan(self._number, self._segments, self._after[side], asked)
            except Retry as error:
                self._credentials[side].failed(error)
                self._report(attempt, error)
                await self._tools.clock.sleep(RETRY.delay_s(attempt, self._tools.random))
                attempt += 1
            else:
                size.succeeded(len(page.items))
                self._credentials[side].answered()
                return page

    def _report(self, attempt: int, error: Retry) -> None:
        if attempt % 10 == 0:
            log.warning(
                "reading segment %d: %s; trying again",
                self._number,
                error,
                extra={"event": "verify_retry", "facts": {"segment": self._number, "attempt": attempt}},
            )
