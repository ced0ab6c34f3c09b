"""What one worker lists of the shards, the others read as it was, or not at all."""

from collections.abc import Callable

import pytest

from dynamirror.aws import graph_rows
from dynamirror.aws.graph_rows import GraphRows
from dynamirror.errors import Retry
from dynamirror.model.graph_row import GraphHead
from dynamirror.model.shard_graph import Listing, Shard

ROWS = GraphRows
StoreOf = Callable[[str], GraphRows]


def listing(count: int, enabled: bool = True) -> Listing:
    shards = [Shard(f"shardId-{number:020}-{number * 7919:08x}", None, str(10**20 + number)) for number in range(count)]
    return Listing((*shards, Shard("shardId-last", shards[0].id, "5", "7")), enabled)


async def head_of(store: GraphRows) -> GraphHead:
    head = await store.head()
    assert head is not None
    return head


@pytest.mark.parametrize("chunk_bytes", [250_000, 100])
async def test_a_listing_is_read_as_it_was_written(
    store_of: StoreOf, monkeypatch: pytest.MonkeyPatch, chunk_bytes: int
) -> None:
    monkeypatch.setattr(graph_rows, "CHUNK_BYTES", chunk_bytes)
    store = store_of("one")
    assert await store.head() is None
    for wanted in (listing(50), listing(3, enabled=False), listing(50)):
        await store.put_listing(wanted)
        found = await store_of("one").listing(await head_of(store))
        assert (set(found.shards), found.enabled) == (set(wanted.shards), wanted.enabled)


async def test_the_number_moves_also_where_nothing_has_changed(store_of: StoreOf) -> None:
    store = store_of("one")
    await store.put_listing(listing(5))
    first = await head_of(store)
    await store.put_listing(listing(5))
    second = await head_of(store)
    assert (second.number, second.digest) == (first.number + 1, first.digest)


async def test_chunks_of_another_listing_are_not_taken_for_this_one(store_of: StoreOf) -> None:
    store = store_of("one")
    await store.put_listing(listing(5))
    head = await head_of(store)
    await store.put_listing(listing(6))
    with pytest.raises(Retry):
        await store.listing(head)


async def test_another_life_sees_none_of_it(store_of: StoreOf) -> None:
    await store_of("one").put_listing(listing(5))
    assert await store_of("two").head() is None
