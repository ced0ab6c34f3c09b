"""What each item was, in order, and which of its images stands at the destination."""

from collections import defaultdict

import msgspec

from dynamirror.model.change import Write, image_of
from dynamirror.model.diff import Item
from dynamirror.model.key import Key
from tests.sim.flights import is_java


class Images:
    """Of one run. Places count an item's images from 0; -1: none of them stands."""

    def __init__(self) -> None:
        self._images: dict[Key, list[Item | None]] = defaultdict(list)
        self._standing: dict[Key, int] = {}
        self._brought_by: dict[Key, str] = {}
        # What nobody can mend: over a Java worker's write a late one came of a worker that is dead, or of Java's own.
        self.beyond_mending: set[Key] = set()

    def add(self, key: Key, item: Item | None) -> int:
        """The application's newest; returns its place."""
        images = self._images[key]
        images.append(item)
        return len(images) - 1

    def ever(self) -> list[Key]:
        """Of every item that was ever there."""
        return sorted(self._images, key=repr)

    def standing(self, key: Key) -> int:
        return self._standing.get(key, -1)

    def brought(self, key: Key, item: Item | None, by: str, dead: bool) -> bool:
        """One was written at the destination, by a worker that may be dead by now; False: it was never there."""
        before, former = self.standing(key), self._brought_by.get(key, "")
        self._brought_by[key] = by
        place = self._newest(key, item)
        if place is None:
            return False
        self._standing[key] = place
        if place >= before:
            self.beyond_mending.discard(key)
        elif is_java(former) and (is_java(by) or dead):
            self.beyond_mending.add(key)
        return True

    def place_of(self, write: Write) -> int:
        """Of a write of the copy, which has no number."""
        place = self._newest(write.key, msgspec.json.decode(image_of(write)))
        assert place is not None, write
        return place

    def _newest(self, key: Key, item: Item | None) -> int | None:
        # Of equal images the newest: values that repeat cannot be told apart.
        images = self._images[key]
        return next((place for place in range(len(images) - 1, -1, -1) if images[place] == item), None)
