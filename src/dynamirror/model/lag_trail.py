"""How far one shard's checkpoint is behind, judged from outside by somebody who reads the same shard."""

from dataclasses import dataclass

from dynamirror.model.change import Page
from dynamirror.model.lease import SENTINELS, SHARD_END

# A page that is smaller, and whose last change is younger than stamps are rounded, has come to the end for now.
FULL_PAGE_RECORDS = 1000
FULL_PAGE_BYTES = 500_000
# Stamps are rounded down to the second, on DynamoDB Local to the minute.
SECOND_S, MINUTE_S = 1.0, 60.0


@dataclass(slots=True)
class Trail:
    """What was read behind the checkpoint; only the last page, since nothing is read while it waits."""

    # The last change of the page that the checkpoint has not passed; None: nothing is known to wait.
    waits_for: int | None = None
    since_s: float = 0.0
    # When the end was seen last: nothing older than that is unread.
    tip_s: float | None = None

    def passed(self, checkpoint: str) -> None:
        """The lease's checkpoint is there now."""
        if self.waits_for is not None and (checkpoint == SHARD_END or _number(checkpoint) >= self.waits_for):
            self.waits_for = None

    def read(self, page: Page, asked_s: float) -> None:
        """A page behind the checkpoint, asked for then by the service's clock.

        Where its first stamp may be rounded down to before the moment at which the end was seen last, the change came
        after that moment. An older one proves that what was seen then was not the end.
        """
        if page.records:
            made_s = page.records[0].change.created_s or asked_s
            self.waits_for = int(page.records[-1].change.sequence_number)
            rounded_below_tip = self.tip_s is not None and made_s <= self.tip_s <= made_s + _rounding_s(made_s)
            self.since_s = self.tip_s if self.tip_s is not None and rounded_below_tip else made_s
        if at_tip(page, asked_s):
            self.tip_s = asked_s

    def lag_s(self, now_s: float) -> float:
        """How long the oldest change behind the checkpoint waits; 0: none is known."""
        return max(0.0, now_s - self.since_s) if self.waits_for is not None else 0.0


def at_tip(page: Page, asked_s: float) -> bool:
    """Whether nothing seems to lie behind the page. An estimate: an empty page proves nothing."""
    if page.next_iterator is None or not page.records:
        return True
    full = len(page.records) >= FULL_PAGE_RECORDS or page.size_bytes >= FULL_PAGE_BYTES
    made_s = page.records[-1].change.created_s
    return not full and made_s + _rounding_s(made_s) + SECOND_S >= asked_s


def _rounding_s(made_s: float) -> float:
    return SECOND_S if made_s % MINUTE_S else MINUTE_S


def _number(checkpoint: str) -> int:
    return -1 if checkpoint in SENTINELS else int(checkpoint)
