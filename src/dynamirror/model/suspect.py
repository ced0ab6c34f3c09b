"""Whether one item differs for certain, although both tables are written meanwhile.

The item is looked at again and again: destination first, then source, both consistently.

    equal      the two are the same at one look; or the destination has been seen twice with an image, each time another
               one, that the source had before: it follows
    different  the destination's image stood still for the patience, and not once in that time was the source seen with
               it. A destination that follows within the patience has every image after the source had it
    unsettled  neither, for ten times the patience: the destination moves, so replication is alive for the item

The pauses are drawn: an item that goes to and fro in step with the looks would have to guess each of them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto

from dynamirror.model.key import Key

# At so many looks in a row, at least, has a difference been seen.
LOOKS_MIN = 16
# In patiences.
UNSETTLED_AFTER = 10
# Images of the source that are remembered.
IMAGES_MAX = 32
FIRST_PAUSE_S = 0.1
# Pauses as shares of the patience: the longest of an item that rests, and of one that moves.
RESTING_SHARE, MOVING_SHARE = 0.08, 0.02


class Verdict(Enum):
    """What the looks at one item have shown."""

    EQUAL = auto()
    DIFFERENT = auto()
    UNSETTLED = auto()


@dataclass(slots=True, eq=False)
class Suspect:
    """One item that may differ. Digests are by value (model/item_digest), an item that is not there has one too."""

    key: Key
    # The segment that it was found in.
    segment: int = 0
    # When the first look began.
    begun_at_s: float | None = None
    _there: bytes | None = None
    # Since when, and at how many looks, the destination has had its present image.
    _still_since_s: float = 0.0
    _still_looks: int = 0
    _moves: bool = False
    # Images that the source was seen with, the latest last.
    _images: dict[bytes, None] = field(default_factory=dict)
    # Images of the destination that the source had before.
    _followed: set[bytes] = field(default_factory=set)

    def look(self, there: bytes, here: bytes, times: tuple[float, float], patience_s: float) -> Verdict | None:
        """One look at destination and source; `times`: before it was asked, and after the answers. None: look again."""
        asked_at_s, answered_at_s = times
        if self.begun_at_s is None:
            self.begun_at_s = asked_at_s
        self._moves = self._there is not None and there != self._there
        if there != self._there:
            self._there, self._still_since_s, self._still_looks = there, answered_at_s, 0
        self._still_looks += 1
        if there == here:
            return Verdict.EQUAL
        if there in self._images:
            self._followed.add(there)
            if len(self._followed) > 1:
                return Verdict.EQUAL
        self._remember(here)
        if asked_at_s - self._still_since_s >= patience_s and self._still_looks >= LOOKS_MIN:
            return Verdict.DIFFERENT
        return Verdict.UNSETTLED if asked_at_s - self.begun_at_s >= UNSETTLED_AFTER * patience_s else None

    def pause_s(self, patience_s: float, random: Callable[[], float]) -> float:
        """How long to wait before the next look; `random` gives [0, 1)."""
        if self._moves:
            return MOVING_SHARE * patience_s * random()
        pause_s = min(RESTING_SHARE * patience_s, FIRST_PAUSE_S * 2.0 ** min(self._still_looks, 30))
        return pause_s * (0.3 + 0.7 * random())

    def again(self) -> None:
        """Everything that was seen is forgotten."""
        self.begun_at_s = self._there = None
        self._images.clear()
        self._followed.clear()

    def _remember(self, here: bytes) -> None:
        self._images.pop(here, None)
        self._images[here] = None
        if len(self._images) > IMAGES_MAX:
            del self._images[next(iter(self._images))]
