"""One segment from its last page to its end, under a claim of this worker."""

import logging

import msgspec

from dynamirror.copy.page import PageLife, PageOutcome, PageSender
from dynamirror.copy.phases import prove_life
from dynamirror.copy.tools import CopyTools
from dynamirror.errors import ConditionFailed, Retry, Side, Throttled
from dynamirror.loops.patience import CredentialsPatience
from dynamirror.loops.rate import PageAdmission
from dynamirror.model.backoff import Backoff
from dynamirror.model.copy import Segment
from dynamirror.model.item_key import ItemKeys
from dynamirror.model.reading_size import ReadingSize
from dynamirror.ports import ScanPage

RETRY = Backoff(first_s=0.1, most_s=5.0)

log = logging.getLogger("dynamirror.copy")


class SegmentLost(Exception):
    """Another worker has the segment."""


class SegmentCopier:
    """Copies one segment. The row is written before each page: it proves the claim, and saves what is durable."""

    def __init__(self, tools: CopyTools, sender: PageSender, segment: Segment, segments: int) -> None:
        """`segment`: as it stands in the row, claimed by this worker or not."""
        self._tools = tools
        self._sender = sender
        self._segment = segment
        self._segments = segments
        copy = tools.settings.copy
        self._size = ReadingSize(copy.page_items_max, copy.page_items_first)
        self._keys = ItemKeys(tools.codec)
        # Items left late, and their duty is not durable yet.
        self._late = False
        # Its own: a page needs the source and the state table, and one of them alone says nothing about the other.
        self._credentials = CredentialsPatience(tools.clock)

    async def run(self) -> None:
        """Return at the segment's end. Raises SegmentLost, Stop."""
        wanted = self._segment.claimed(self._tools.worker)
        attempt = 0
        while not self._segment.done:
            try:
                wanted = await self._admitted(wanted)
                self._credentials.answered()
                attempt = 0
            except Retry as error:
                self._credentials.failed(error)
                if isinstance(error, Throttled) and error.side is Side.SOURCE:
                    self._tools.metrics.count("read_throttles")
                    self._tools.rate.throttled_reading()
                self._report(attempt, error)
                await self._tools.clock.sleep(RETRY.delay_s(attempt, self._tools.random))
                attempt += 1

    async def _admitted(self, wanted: Segment) -> Segment:
        """One page, once the operator and the rates allow it: its life must not pass with waiting. See _page.

        What left late is durably a duty first. Otherwise: 1 the duty of a late page cannot be written; 2 the page is
        read again, in time, and the row passes it; 3 the process dies: nobody knows what may still land over newer
        images.
        """
        if self._late:
            await self._tools.late_noted()
            self._late = False
        if wanted.done:
            await self._save(wanted)
            return wanted
        await self._tools.gate.opened()
        admission = await self._tools.rate.page(self._size.present)
        try:
            return await self._page(wanted, admission)
        finally:
            admission.close()

    async def _page(self, wanted: Segment, admission: PageAdmission) -> Segment:
        """Save the row `wanted`, then copy one page; returns the row to save next. Raises Retry, SegmentLost, Stop.

        The page's life begins first. Otherwise: 1 the claim is proven; 2 the process is frozen, the copy ends, and the
        holding; 3 it thaws, reads, and believes its page fresh, while a change made since is on its way (A-8b).

        Then the life of the task is proven: so nothing of a page is on its way D + T + L after the task was begun anew,
        by which a start of the next life knows when it may apply changes (engines/begin_copy).
        """
        tools = self._tools
        copy = tools.settings.copy
        life = PageLife(tools.clock.boottime_s, tools.clock.wall_s, copy.page_life_s)
        await self._save(wanted)
        # Rows of a life that is over stand, and are saved, as before. One row read costs little beside a page.
        await prove_life(tools)
        segment = self._segment
        with self._size.reading(admission.items_max):
            page = await tools.source.scan(segment.number, self._segments, segment.after, admission.items_max)
        admission.scanned(page)
        outcome = await self._sender.send(page, life)
        admission.sent(outcome.written)
        if outcome.late:
            # The page is read again; what left late may come over a newer image until it is reconciled.
            self._late = True
            return self._again()
        self._pace(life.left_s / copy.page_life_s)
        return self._next(page, outcome)

    def _next(self, page: ScanPage, outcome: PageOutcome) -> Segment:
        """The row once the first items of the page, up to one that is not durable, are passed."""
        tools, prefix = self._tools, outcome.prefix
        parked = outcome.parked_of(prefix)
        tools.metrics.count("items_copied", prefix - parked)
        if prefix == len(page.items):
            tools.metrics.count("copy_bytes", page.size_bytes)
            return self._segment.advanced(page.last_key, prefix, prefix - parked, page.size_bytes, parked)
        if not prefix:
            return self._again()
        after = msgspec.json.encode(self._keys.of(page.items[prefix - 1]).attributes)
        size_bytes = page.size_bytes * prefix // len(page.items)
        tools.metrics.count("copy_bytes", size_bytes)
        return self._segment.advanced(after, prefix, prefix - parked, size_bytes, parked)

    def _again(self) -> Segment:
        return self._segment.claimed(self._tools.worker)

    def _pace(self, left: float) -> None:
        """`left`: share of the page's life that was left when it was written."""
        if left > 0.75:
            self._size.succeeded(self._size.present)
        elif left < 0.5:
            self._size.shrink(self._size.present)

    async def _save(self, wanted: Segment) -> None:
        """Write the row, if nobody else has. Idempotent: an earlier attempt may have been applied unseen."""
        try:
            await self._tools.store.put_segment(wanted, self._segment)
        except ConditionFailed:
            rows = {row.number: row for row in await self._tools.store.segments()}
            if rows.get(wanted.number) != wanted:
                raise SegmentLost(f"segment {wanted.number} is another worker's") from None
        self._segment = wanted

    def _report(self, attempt: int, error: Retry) -> None:
        if attempt % 10 == 0:
            log.warning(
                "copying segment %d: %s; trying again",
                self._segment.number,
                error,
                extra={"event": "copy_retry", "facts": {"segment": self._segment.number, "attempt": attempt}},
            )
