"""How far a shard is durable: the checkpoint never passes a change that is not.

Counted by page, not by change: a page is done when none of its writes is outstanding. A write that
supersedes an older one of the same key takes over the older one's pages, so an older page stays open
until the newer image is durable.
"""

from collections import deque

from dynamirror.model.change import Write
from dynamirror.model.permit import Permit


class PageMark:
    """A page on its way: `outstanding` writes of it are not durable yet."""

    __slots__ = ("created_s", "last_sequence", "outstanding", "watermark")

    def __init__(self, watermark: "Watermark", last_sequence: str, outstanding: int, created_s: float) -> None:
        self.watermark = watermark
        self.last_sequence = last_sequence
        self.outstanding = outstanding
        # Creation time of the page's last record, for lag; seconds since the epoch, service's clock.
        self.created_s = created_s

    def __repr__(self) -> str:
        return f"PageMark({self.last_sequence}, outstanding={self.outstanding})"


class Watermark:
    """The pages of one tenure of a shard in stream order, and the checkpoint that they allow."""

    def __init__(self, permit: Permit) -> None:
        self._pages: deque[PageMark] = deque()
        self.permit = permit
        self.checkpoint: str | None = None
        # Writes that may have left after somebody else could have taken the lease; no harm if nobody did.
        self.late: list[Write] = []
        # The lease was lost: nothing of this shard may be sent any more (P-25).
        self.abandoned = False

    def add(self, last_sequence: str, outstanding: int, created_s: float = 0.0) -> PageMark:
        """Register a page, in stream order, with the number of distinct writes that stand for it."""
        mark = PageMark(self, last_sequence, outstanding, created_s)
        self._pages.append(mark)
        return mark

    def advance(self) -> str | None:
        """Move the checkpoint over every leading page that is done; return it (None: nothing yet)."""
        pages = self._pages
        while pages and pages[0].outstanding == 0:
            self.checkpoint = pages.popleft().last_sequence
        return self.checkpoint

    def on_their_way(self, besides: PageMark | None) -> bool:
        """Whether writes of any page but one are not durable."""
        self.advance()
        return any(page.outstanding for page in self._pages if page is not besides)

    @property
    def settled(self) -> bool:
        """Nothing of this shard is on its way."""
        self.advance()
        return not self._pages
