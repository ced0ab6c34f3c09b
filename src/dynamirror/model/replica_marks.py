"""The attributes aws:rep:* that the first version of global tables (2017.11.29) keeps in every item.

They say which Region wrote an item last, and mean nothing in a table that is no replica. `aws/streams`, `aws/scan` and
`aws/items` leave them out at the source when asked to, so that nothing else ever sees them.
"""

import msgspec
from msgspec import Raw

# The service's own: aws:rep:deleting, aws:rep:updatetime, aws:rep:updateregion. Never a key attribute.
MARK_PREFIX = "aws:rep:"
# As it begins in JSON; nothing is decoded where it does not occur.
MARK = b'"aws:rep:'

_attributes = msgspec.json.Decoder(dict[str, Raw]).decode
_encode = msgspec.json.Encoder().encode


def without_marks(item: Raw) -> Raw:
    """An item, given as JSON, without these attributes of its own; every other value verbatim, in its order.

    An item without any is returned as it is. Raises msgspec.MsgspecError for what is no map.
    """
    if MARK not in bytes(item):
        return item
    attributes = _attributes(item)
    kept = {name: value for name, value in attributes.items() if not name.startswith(MARK_PREFIX)}
    # A mark may also be text, or an attribute of a map, which is the operator's.
    return Raw(_encode(kept)) if len(kept) < len(attributes) else item
