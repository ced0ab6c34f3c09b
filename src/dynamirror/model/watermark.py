"""How far a shard is durable: the checkpoint never passes a change that is not.

Counted by page, not by change: a page is done when none of its writes is outstanding. A write that
supersedes an older one of the same key takes over the older one's pages, so an older page stays open
until the newer image is durable.
"""

from collections import deque

from dynamirror.model.change import Write
from dynamirror.model.permit import NEVER, Permit


class PageMark:
    """A page on its way: `outstanding` writes of it are not durable yet."""

    __slots__ = ("added_at_s", "created_s", "last_sequence", "outstanding", "read_to_s", "watermark")

    def __init__(
        self,
        watermark: "Watermark",
        last_sequence: str,
        outstanding: int,
        created_s: float,
        added_at_s: float,
        read_to_s: float,
    ) -> None:
        self.watermark = watermark
        self.last_sequence = last_sequence
        self.outstanding = outstanding
        # Creation time of the page's last record, for lag; seconds since the epoch, service's clock.
        self.created_s = created_s
        # Boot time.
        self.added_at_s = added_at_s
        # All changes made up to then are in this page or in those before, by the service's clock; 0: not known.
        self.read_to_s = read_to_s

    def __repr__(self) -> str:
        return f"PageMark({self.last_sequence}, outstanding={self.outstanding})"


class Watermark:
    """The pages of one tenure of a shard in stream order, and the checkpoint that they allow."""

    def __init__(self, permit: Permit) -> None:
        self._pages: deque[PageMark] = deque()
        self.permit = permit
        self.checkpoint: str | None = None
        # All changes made up to then are durable, seconds since the epoch, service's clock; 0: not known.
        self.applied_s = 0.0
        # Writes that may have left after somebody else could have taken the lease; no harm if nobody did.
        self.late: list[Write] = []
        # The lease was lost: nothing of this shard may be sent any more (P-25).
        self.abandoned = False
        # Boot time at which a write became durable last, and until which a first doubt is no sign of being stuck.
        self.durable_at_s = self.doubt_until_s = NEVER

    def add(
        self,
        last_sequence: str,
        outstanding: int,
        created_s: float = 0.0,
        added_at_s: float = NEVER,
        read_to_s: float = 0.0,
    ) -> PageMark:
        """Register a page, in stream order, with the number of distinct writes that stand for it."""
        mark = PageMark(self, last_sequence, outstanding, created_s, added_at_s, read_to_s)
        self._pages.append(mark)
        return mark

    def advance(self) -> str | None:
        """Move the checkpoint over every leading page that is done; return it (None: nothing yet)."""
        pages = self._pages
        while pages and pages[0].outstanding == 0:
            page = pages.popleft()
            self.checkpoint = page.last_sequence
            if page.read_to_s:
                self.applied_s = page.read_to_s
        return self.checkpoint

    def on_their_way(self, besides: PageMark | None) -> bool:
        """Whether writes of any page but one are not durable."""
        return self.oldest(besides) is not None

    def oldest(self, besides: PageMark | None) -> PageMark | None:
        """The first page but one with writes that are not durable."""
        self.advance()
        return next((page for page in self._pages if page.outstanding and page is not besides), None)

    @property
    def settled(self) -> bool:
        """Nothing of this shard is on its way."""
        self.advance()
        return not self._pages
