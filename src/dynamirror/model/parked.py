"""Parked items: what the destination refuses, as it stands in the state table (docs/decisions/0012)."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from dynamirror.errors import Refused
from dynamirror.model.diff import Item

# DynamoDB Streams API, StreamRecord.SequenceNumber: at most 40 characters.
_VERSION_DIGITS = 40
# A row may have 400 KB (Developer Guide, "Quotas"), and so may the item that it is to hold.
CHUNK_BYTES = 300 * 1024
ERROR_LENGTH_MAX = 1000
# Shorter beginnings of an id are slips of the hand.
_NAMED_BY_MIN = 4


@dataclass(frozen=True, slots=True)
class Parked:
    """One item. Its row has a digest of its key for an id."""

    id: str
    # The item's key attributes, verbatim.
    key: Item
    # Of the change that was refused: grows with each change of the item.
    version: str
    # What the destination said.
    error: str
    # By the wall clock of the worker.
    at_ms: int
    worker: str
    # Rows of its image; 0: the change was a deletion.
    chunks: int
    size_bytes: int

    @property
    def sequence_number(self) -> str:
        """As the stream spells it, but for leading zeros; empty: an item of the copy."""
        return self.version.lstrip("0")


def version_of(sequence_number: str) -> str:
    """Compares as text. An item of a copy's page has no number, and the lowest version: any change of it is newer."""
    return sequence_number.zfill(_VERSION_DIGITS)


def chunks_of(image: bytes) -> Sequence[str]:
    """The image in parts that fit into rows, none of which splits a character."""
    chunks, start = [], 0
    while start < len(image):
        end = start + CHUNK_BYTES
        while end < len(image) and image[end] & 0xC0 == 0x80:
            end -= 1
        chunks.append(image[start:end].decode())
        start = end
    return chunks


def named(word: str, ids: Collection[str]) -> str:
    """The id that is meant: it, or the beginning of it. Raises Refused."""
    if word in ids:
        return word
    found = [row_id for row_id in ids if row_id.startswith(word)] if len(word) >= _NAMED_BY_MIN else []
    if len(found) != 1:
        what = f"{len(found)} parked items begin" if found else "no parked item has an id that begins"
        raise Refused(f"{what} with {word}: see dynamirror parked list")
    return found[0]
