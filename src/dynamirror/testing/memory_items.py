"""A table in memory, item by item: consistent reads by key, and conditional replacement."""

from collections.abc import Callable, Sequence

from dynamirror.errors import ConditionFailed, ItemRefused
from dynamirror.model.as_read import AsRead
from dynamirror.model.diff import Item
from dynamirror.model.item_key import ItemKey
from dynamirror.model.key import Key
from dynamirror.ports import ItemsRead
from dynamirror.testing.faults import Fault, Line

KEYS_MAX = 100


def _no_watch(key: Key, item: Item | None) -> None:
    """Nobody watches."""


class MemoryItems:
    """`ports.ItemTable` over the items of a MemoryTable or MemorySource, which stay its owner's."""

    def __init__(
        self, items: dict[Key, Item], line: Line | None = None, watch: Callable[[Key, Item | None], None] = _no_watch
    ) -> None:
        """`watch` is told of each replacement at the moment it is applied, late ones included."""
        self.items = items
        # Keys whose replacement is refused, as an item over 400 KB would be.
        self.refused: set[Key] = set()
        self._line = line or Line()
        self._watch = watch

    async def read(self, keys: Sequence[ItemKey]) -> ItemsRead:
        """See ports.ItemReader."""
        assert 0 < len(keys) <= KEYS_MAX, f"{len(keys)} keys at once"
        asked = [item_key.key for item_key in keys]
        assert len(set(asked)) == len(asked), "a key twice"
        return await self._line.call("BatchGetItem", lambda fault: self._read(asked, fault))

    async def replace(self, key: ItemKey, seen: AsRead, wanted: Item | None) -> None:
        """See ports.ItemTable."""
        operation = "PutItem" if wanted is not None else "DeleteItem"
        await self._line.call(operation, lambda _: self._replace(key.key, seen, wanted))

    def _read(self, keys: Sequence[Key], fault: Fault) -> ItemsRead:
        processed = keys[: max(0, len(keys) - fault.unprocessed)]
        return ItemsRead({key: self.items[key] for key in processed if key in self.items}, keys[len(processed) :])

    def _replace(self, key: Key, seen: AsRead, wanted: Item | None) -> None:
        if key in self.refused:
            raise ItemRefused("the item can never be written (as the test wants it)")
        if not seen.holds(self.items.get(key)):
            raise ConditionFailed(f"the item {key!r} is not as it was read")
        if wanted is None:
            self.items.pop(key, None)
        else:
            self.items[key] = wanted
        self._watch(key, wanted)
