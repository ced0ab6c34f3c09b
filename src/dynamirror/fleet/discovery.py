"""One worker of a fleet lists the stream for all: DescribeStream allows ten calls a second, and a page has 100 shards.

The first by name of those that live lists and writes down what it found; the others read that, as long as they see it
written anew. Whoever has not seen that yet, or any more, lists by itself: at a start, and after the first one's death.
"""

import logging
from collections.abc import Awaitable, Callable

from dynamirror.errors import Retry
from dynamirror.model.shard_graph import Listing
from dynamirror.ports import Clock
from dynamirror.state_ports import GraphStore

# A listing that was not written anew for so long is nobody's any more: one a minute, and some patience with a doubtful
# one.
FRESH_S = 150.0

log = logging.getLogger("dynamirror.leases")


class Discovery:
    """`list_shards` in place of the stream's. `leads`: whether this worker lists for the others."""

    def __init__(
        self, list_stream: Callable[[], Awaitable[Listing]], store: GraphStore, clock: Clock, leads: Callable[[], bool]
    ) -> None:
        self._list_stream = list_stream
        self._store = store
        self._clock = clock
        self._leads = leads
        # The number of the listing that was read last, and since when it is known; None: it was there before.
        self._number = -1
        self._since_s: float | None = None
        self._listing: Listing | None = None
        self._by_itself_until_s = float("-inf")

    def by_itself_for(self, duration_s: float) -> None:
        """List by oneself so long: what is wanted is younger than what another worker has listed."""
        self._by_itself_until_s = self._clock.boottime_s() + duration_s

    async def list_shards(self) -> Listing:
        """As ChangeStream.list_shards; the listing of another worker is a few minutes old at most. Raises Retry."""
        if self._leads():
            listing = await self._list_stream()
            await self._publish(listing)
            return listing
        if self._clock.boottime_s() < self._by_itself_until_s:
            return await self._list_stream()
        try:
            listing_of_another = await self._fresh()
        except Retry as error:
            log.info("reading the listing of another worker: %s", error, extra={"event": "graph_retry", "facts": {}})
            listing_of_another = None
        # Whether a stream that is off is read to its end is judged by listings of its own, some seconds apart.
        if listing_of_another is None or not listing_of_another.enabled:
            return await self._list_stream()
        return listing_of_another

    async def _fresh(self) -> Listing | None:
        head = await self._store.head()
        if head is None:
            return None
        now_s = self._clock.boottime_s()
        if head.number != self._number:
            # One that was there at the first look may be of any age.
            self._since_s = now_s if self._number >= 0 else None
            self._number, self._listing = head.number, None
        if self._since_s is None or now_s - self._since_s > FRESH_S:
            return None
        if self._listing is None:
            self._listing = await self._store.listing(head)
        return self._listing

    async def _publish(self, listing: Listing) -> None:
        """The others list by themselves where it fails."""
        try:
            await self._store.put_listing(listing)
        except Retry as error:
            log.info("writing down the listing: %s", error, extra={"event": "graph_retry", "facts": {}})
