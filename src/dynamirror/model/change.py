"""A change as the stream sends it, and a write as the destination takes it.

Images stay the bytes they came as: no attribute value is ever turned into a Python object between
the stream and the destination, so what arrives is what was stored (38-digit numbers, empty strings,
sets, binary). `Raw` points into the page's buffer; whoever keeps an image longer than its page copies it.
"""

import msgspec
from msgspec import Raw

from dynamirror.errors import Side, Stop
from dynamirror.model.key import Key

# Event names of a stream record (DynamoDB Streams API, Record.eventName).
PUTS = frozenset({"INSERT", "MODIFY"})
REMOVE = "REMOVE"

_PUT_HEAD, _PUT_TAIL = b'{"PutRequest":{"Item":', b"}}"
_DELETE_HEAD, _DELETE_TAIL = b'{"DeleteRequest":{"Key":', b"}}"


class StreamRecord(msgspec.Struct, gc=False):
    """`Record.dynamodb`. `new_image` is empty where the record has none. `OldImage` is skipped."""

    keys: Raw = msgspec.field(name="Keys")
    sequence_number: str = msgspec.field(name="SequenceNumber")
    # `Raw | None` decodes only null, hence the empty Raw.
    new_image: Raw = msgspec.field(name="NewImage", default=Raw())
    # Seconds since the epoch on the service's clock, rounded down (to the minute on DynamoDB Local). 0: not
    # known, so neither old nor new.
    created_s: float = msgspec.field(name="ApproximateCreationDateTime", default=0.0)


class Record(msgspec.Struct, gc=False):
    """One change of one item, in the stream's own shape."""

    event_name: str = msgspec.field(name="eventName")
    change: StreamRecord = msgspec.field(name="dynamodb")


class Page(msgspec.Struct):
    """One GetRecords answer. `next_iterator` is None once the shard has ended and is read to its end.

    The service sends `Records` with every page, so what comes without it is no page, and no end of a shard.
    """

    records: list[Record] = msgspec.field(name="Records")
    next_iterator: str | None = msgspec.field(name="NextShardIterator", default=None)
    # Size of the answer on the wire; set by the reader of the stream, never by the service.
    size_bytes: int = 0
    # The service's clock when the page was served, or a little earlier; seconds since the epoch, 0: not known.
    served_s: float = 0.0


decode_page = msgspec.json.Decoder(Page).decode


# Measured: objects and dictionary entries of one small write on its way.
WRITE_BYTES_BESIDE = 350


class Write(msgspec.Struct, gc=False):
    """One element of a BatchWriteItem request: `request` is its JSON, PutRequest or DeleteRequest."""

    key: Key
    request: bytes
    sequence_number: str = ""

    @property
    def weight_bytes(self) -> int:
        """What it takes in memory, with what is kept beside it while it waits."""
        return len(self.request) + WRITE_BYTES_BESIDE


def put_of(item: bytes | Raw, key: Key) -> Write:
    """The write that puts an item, given as JSON, verbatim."""
    # Copies the item once; a sum of three copies it twice.
    return Write(key, b"".join((_PUT_HEAD, item, _PUT_TAIL)))


def image_of(write: Write) -> bytes:
    """The item that a write puts, as JSON; empty: it deletes one."""
    return write.request[len(_PUT_HEAD) : -len(_PUT_TAIL)] if write.request.startswith(_PUT_HEAD) else b""


def write_of(record: Record, key: Key) -> Write:
    """The write that brings the destination to the state after `record`.

    Raises Stop for an event name that the service does not document, and for a put without NewImage:
    skipping either would lose a change without a trace.
    """
    change = record.change
    if record.event_name in PUTS:
        image = bytes(change.new_image)
        if not image:
            raise Stop(
                Side.SOURCE,
                f"stream record {change.sequence_number} ({record.event_name}) has no NewImage; "
                "the stream's view type must be NEW_IMAGE or NEW_AND_OLD_IMAGES",
            )
        return Write(key, b"".join((_PUT_HEAD, image, _PUT_TAIL)), change.sequence_number)
    if record.event_name == REMOVE:
        return Write(key, _DELETE_HEAD + bytes(change.keys) + _DELETE_TAIL, change.sequence_number)
    raise Stop(
        Side.SOURCE,
        f"stream record {change.sequence_number} has the unknown event name {record.event_name!r}; "
        "stopped before it so that nothing is lost: please report it, and look for a newer dynamirror",
    )
