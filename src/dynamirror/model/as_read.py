"""The condition "the item is as it was read", as far as a condition expression can say it.

It cannot say "and no other attribute", values repeat, and its length is limited. So it narrows the window in which
another writer is overwritten, and is not what makes reconcile right: leaving attributes out of it does no harm.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from dynamirror.model.diff import AttributeValue, Item, first_difference
from dynamirror.model.key import KeySchema

# Limits of one expression (Developer Guide, "Service quotas: expression parameters").
EXPRESSION_BYTES_MAX = 4096
# Operators and functions; each AND is counted too, which is the stricter reading.
OPERATORS_MAX = 300
# All names and values together: the service takes 2 MB. Half of it, since how the service counts them is not
# documented, and the condition travels together with an item of up to 400 KB.
SUBSTITUTIONS_BYTES_MAX = 1024 * 1024

_HASH = "#hash"


@dataclass(frozen=True, slots=True)
class AsRead:
    """True of an item that has all of `equal`, by value; with `equal` None, of no item."""

    hash_name: str
    equal: Mapping[str, AttributeValue] | None

    def holds(self, item: Item | None) -> bool:
        """Whether it is true; `item` is None when there is none."""
        if self.equal is None or item is None:
            return self.equal is None and item is None
        return all(
            name in item and first_difference({name: value}, {name: item[name]}) is None
            for name, value in self.equal.items()
        )

    def request(self) -> Mapping[str, Any]:
        """The part of a PutItem or DeleteItem request that demands it."""
        if self.equal is None:
            return {
                "ConditionExpression": f"attribute_not_exists({_HASH})",
                "ExpressionAttributeNames": {_HASH: self.hash_name},
            }
        names, values, terms = {_HASH: self.hash_name}, {}, [f"attribute_exists({_HASH})"]
        for number, (name, value) in enumerate(self.equal.items()):
            names[f"#n{number}"] = name
            values[f":v{number}"] = value
            terms.append(_term(number))
        request: dict[str, Any] = {"ConditionExpression": " AND ".join(terms), "ExpressionAttributeNames": names}
        # The service refuses an empty map of values.
        return request | ({"ExpressionAttributeValues": values} if values else {})


def as_read(item: Item | None, schema: KeySchema) -> AsRead:
    """The condition for `item` (None: there was none), small attributes first, as many as the limits allow."""
    if item is None:
        return AsRead(schema.hash.name, None)
    keys = {schema.hash.name} | ({schema.range.name} if schema.range is not None else set())
    sized = sorted((len(msgspec.json.encode((name, item[name]))), name) for name in item.keys() - keys)
    equal: dict[str, AttributeValue] = {}
    expression_bytes, substitutions_bytes = len(f"attribute_exists({_HASH})"), len(schema.hash.name.encode())
    for number, (size_bytes, name) in enumerate(sized):
        expression_bytes += len(" AND ") + len(_term(number))
        substitutions_bytes += size_bytes
        operators = 1 + 2 * (number + 1)
        if (
            expression_bytes > EXPRESSION_BYTES_MAX
            or operators > OPERATORS_MAX
            or substitutions_bytes > SUBSTITUTIONS_BYTES_MAX
        ):
            break
        equal[name] = item[name]
    return AsRead(schema.hash.name, equal)


def _term(number: int) -> str:
    return f"#n{number} = :v{number}"
