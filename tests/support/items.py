"""Random items of every kind that DynamoDB has, and a comparison of whole tables that owes nothing to the product."""

import random
import string
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

# As boto3's client takes and gives it: {"S": "x"}, {"B": b"x"}, {"NS": ["1"]}.
Value = dict[str, Any]
Item = dict[str, Value]

WORDS = [
    "",
    "plain",
    "Grüße",
    "日本語",
    "emoji 🎈",
    'quote " backslash \\ slash /',
    "tab\tline\n",
    "\u2028",
    "</script>",
]


def random_value(rng: random.Random, depth: int = 0) -> Value:
    """Any attribute value; maps and lists nest up to four deep."""
    kinds = ["S", "N", "B", "BOOL", "NULL", "SS", "NS", "BS"] + (["M", "L"] if depth < 4 else [])
    kind = rng.choice(kinds)
    match kind:
        case "S":
            return {"S": rng.choice(WORDS)}
        case "N":
            return {"N": random_number(rng)}
        case "B":
            return {"B": rng.randbytes(rng.choice([0, 1, 30]))}
        case "BOOL":
            return {"BOOL": rng.random() < 0.5}
        case "NULL":
            return {"NULL": True}
        case "SS":
            return {"SS": rng.sample(string.ascii_letters, rng.randint(1, 5))}
        case "NS":
            return {"NS": [str(n) for n in rng.sample(range(-1000, 1000), rng.randint(1, 5))]}
        case "BS":
            return {"BS": [bytes([n]) * rng.randint(1, 3) for n in rng.sample(range(256), rng.randint(1, 4))]}
        case "M":
            return {"M": {f"k{n} ü": random_value(rng, depth + 1) for n in range(rng.randint(0, 4))}}
        case _:
            return {"L": [random_value(rng, depth + 1) for _ in range(rng.randint(0, 4))]}


def random_number(rng: random.Random) -> str:
    """Integers, fractions, 38 digits, and the ends of the range."""
    return rng.choice(
        [
            "0",
            "-0.5",
            str(rng.randint(-(10**12), 10**12)),
            "12345678901234567890123456789012345678",
            "0.12345678901234567890123456789012345678",
            "9.9999999999999999999999999999999999999E+125",
            "-1E-130",
        ]
    )


def random_item(rng: random.Random, large: bool = False) -> Item:
    """An item without its key. `large`: close to the limit of 400 KB."""
    item = {f"a{n}": random_value(rng) for n in range(rng.randint(1, 6))}
    if large:
        item["blob"] = {"B": rng.randbytes(rng.randint(300_000, 380_000))}
    return item


def whole_table(client: "DynamoDBClient", table: str, key: str = "pk") -> dict[Any, Any]:
    """Every item, by its key, in a form in which equal means equal to DynamoDB."""
    found = {}
    for page in client.get_paginator("scan").paginate(TableName=table, ConsistentRead=True):
        for item in page["Items"]:
            found[comparable(item[key])] = {name: comparable(value) for name, value in item.items()}
    return found


def comparable(value: Any) -> Any:
    """Numbers by value, sets without order, the rest as it is."""
    ((kind, content),) = value.items()
    match kind:
        case "N":
            return ("N", Decimal(content))
        case "NS":
            return ("NS", frozenset(map(Decimal, content)))
        case "SS" | "BS":
            return (kind, frozenset(content))
        case "L":
            return ("L", tuple(comparable(inner) for inner in content))
        case "M":
            return ("M", tuple(sorted((name, comparable(inner)) for name, inner in content.items())))
        case _:
            return (kind, content)
