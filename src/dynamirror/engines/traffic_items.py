"""The shapes of items in the demo's traffic: together they use every type that DynamoDB has."""

from base64 import b64encode
from collections.abc import Callable
from random import Random
from typing import Any, TypeAlias

Item: TypeAlias = dict[str, dict[str, Any]]

_WORDS = ("lamp", "kettle", "naïve café", "茶碗", "🧵 thread", "Ω-meter", "", 'tab\tand "quote"', "lantern 🏮", "chair")
_DIGITS_MAX = 38
# Rare, so that the demo stays quick: an item near the limit of 400 KB costs as much as hundreds of others.
_LARGE_BYTES = (40_000, 280_000)


def number(random: Random) -> str:
    """A number in one of the spellings that the service gives back, up to its 38 digits."""
    shape = random.randrange(4)
    if shape == 0:
        return str(random.randrange(-1000, 1000))
    if shape == 1:
        return f"{random.randrange(10**6)}.{random.randrange(1, 100):02}"
    digits = str(random.randrange(1, 10)) + "".join(random.choices("0123456789", k=_DIGITS_MAX - 1))
    return digits if shape == 2 else f"-0.{digits}"


def _order(random: Random, serial: int) -> Item:
    lines = [
        {
            "M": {
                "name": {"S": random.choice(_WORDS)},
                "price": {"N": number(random)},
                "count": {"N": str(random.randrange(1, 20))},
                "options": {"L": [{"S": random.choice(_WORDS)}, {"BOOL": random.random() < 0.5}, {"NULL": True}]},
            }
        }
        for _ in range(random.randrange(1, 5))
    ]
    address = {"street": {"S": f"{random.randrange(200)} Rue de la Paix"}, "note": {"S": ""}, "floor": {"NULL": True}}
    return {
        "pk": {"S": f"CUSTOMER#{random.randrange(200)}"},
        "sk": {"S": f"ORDER#{serial:08}"},
        "lines": {"L": lines},
        "ship_to": {"M": address},
        "total": {"N": number(random)},
        "gift": {"BOOL": random.random() < 0.2},
    }


def _session(random: Random, serial: int) -> Item:
    return {
        "pk": {"S": f"SESSION#{random.getrandbits(64):016x}"},
        "sk": {"S": f"{serial}"},
        "expires_at": {"N": str(4_000_000_000 + random.randrange(10**6))},
        "agent": {"S": "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"},
        "path": {"L": [{"S": random.choice(_WORDS)} for _ in range(random.randrange(6))]},
    }


def _thumbnail(random: Random, serial: int) -> Item:
    return {
        "pk": {"S": f"IMAGE#{serial}"},
        "sk": {"S": "thumbnail"},
        "pixels": {"B": _bytes(random, random.randrange(1, 3000))},
        "empty": {"B": ""},
    }


def _profile(random: Random, serial: int) -> Item:
    return {
        "pk": {"S": f"CUSTOMER#{serial}"},
        "sk": {"S": "PROFILE 👤"},
        "names": {"SS": [f"{random.choice(_WORDS)}-{n}" for n in range(random.randrange(1, 5))]},
        "lucky": {"NS": sorted({str(random.randrange(-500, 500)) for _ in range(4)})},
        "keys": {"BS": sorted({_bytes(random, 16) for _ in range(3)})},
        "settings": {"M": {"theme": {"S": "dark"}, "deep": {"M": {"er": {"L": [{"M": {}}, {"L": []}]}}}}},
    }


def _reading(random: Random, serial: int) -> Item:
    return {
        "pk": {"S": f"SENSOR#{random.randrange(50)}"},
        "sk": {"S": f"{serial:012}"},
        "value": {"N": number(random)},
        "history": {"L": [{"N": number(random)} for _ in range(random.randrange(12))]},
    }


def _document(random: Random, serial: int) -> Item:
    size = random.randrange(*_LARGE_BYTES)
    return {
        "pk": {"S": f"DOCUMENT#{serial}"},
        "sk": {"S": "body"},
        "text": {"S": ("Live, 生き, 🌊. " * (size // 20 + 1))[: size // 2]},
        "scan": {"B": _bytes(random, size // 4)},
    }


def _bytes(random: Random, count: int) -> str:
    return b64encode(random.randbytes(count)).decode()


# What makes an item from the random and a serial number, and its weight in the traffic.
MAKERS: dict[Callable[[Random, int], Item], float] = {
    _order: 40,
    _session: 20,
    _reading: 20,
    _profile: 10,
    _thumbnail: 9.5,
    _document: 0.5,
}
