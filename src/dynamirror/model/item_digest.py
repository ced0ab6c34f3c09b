"""Short digests of items: a quick one that may only err by finding equal items different, and one by value.

Both are of 16 bytes: two different items have the same one with a chance of 1 in 10^38, against anything but malice.
"""

from hashlib import blake2b
from typing import Any

import msgspec
from msgspec import Raw

from dynamirror.model.diff import AttributeValue, Item
from dynamirror.model.key import canonical_number

DIGEST_BYTES = 16
ABSENT = b""

_split = msgspec.json.Decoder(dict[str, Raw]).decode
_join = msgspec.json.Encoder(order="deterministic").encode


def quick_digest(item: bytes | Raw) -> bytes:
    """Of an item as JSON: values as they were spelled, whatever the order of its attributes.

    The same digest: the same item. Another digest: perhaps only another spelling of a number, another order in a set.
    """
    return blake2b(_join(_split(item)), digest_size=DIGEST_BYTES).digest()


def value_digest(item: Item | None) -> bytes:
    """The same for two items exactly when model/diff finds no difference; ABSENT for None."""
    if item is None:
        return ABSENT
    plain = {name: _plain(value) for name, value in item.items()}
    return blake2b(_join(plain), digest_size=DIGEST_BYTES).digest()


def _plain(value: AttributeValue) -> tuple[str, Any]:
    """[type, content], with one spelling for every spelling of the same value."""
    ((kind, content),) = value.items()
    match kind:
        case "N":
            return kind, canonical_number(content)
        case "NS":
            return kind, sorted({canonical_number(number) for number in content})
        case "SS" | "BS":
            return kind, sorted(set(content))
        case "L":
            return kind, [_plain(inner) for inner in content]
        case "M":
            return kind, {name: _plain(inner) for name, inner in content.items()}
        case _:
            return kind, content
