"""A listing of shards as bytes, for the workers that read it instead of asking the service."""

import hashlib
import zlib
from dataclasses import dataclass

import msgspec

from dynamirror.model.shard_graph import Listing, Shard


@dataclass(frozen=True, slots=True)
class GraphHead:
    """What is said of a listing beside it. `number` moves with each time that it was taken, changed or not."""

    number: int
    digest: str
    chunks: int


def packed(listing: Listing, chunk_bytes: int) -> tuple[str, list[bytes]]:
    """Digest and chunks; ids repeat each other, so that 5,000 shards become some 100 KB."""
    shards = sorted((shard.id, shard.parent_id, shard.first_sequence, shard.last_sequence) for shard in listing.shards)
    whole = zlib.compress(msgspec.json.encode((listing.enabled, shards)), 6)
    chunks = [whole[start : start + chunk_bytes] for start in range(0, len(whole), chunk_bytes)]
    return hashlib.sha256(whole).hexdigest(), chunks


def unpacked(chunks: list[bytes]) -> Listing:
    """Raises ValueError (msgspec's, zlib's) when they are not one listing."""
    try:
        text = zlib.decompress(b"".join(chunks))
    except zlib.error as error:
        raise ValueError(str(error)) from error
    enabled, shards = msgspec.json.decode(text, type=tuple[bool, list[tuple[str, str | None, str | None, str | None]]])
    return Listing(tuple(Shard(*shard) for shard in shards), enabled)
