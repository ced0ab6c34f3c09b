"""Random requests to DynamoDB over a small space of tables, keys and attributes: most can be answered, some not."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from tests.support.dynamodb_mistakes import MISTAKES
from tests.support.dynamodb_values import NAMES, Scope, Value, condition, update, value

HASHES = ("x", "y")
RANGES: dict[str, tuple[str, ...]] = {
    "N": ("1", "1.0", "2", "10", "-0.5", "1E1"),
    "S": ("a", "ab", "B", "ü"),
    "B": ("YQ==", "YWI=", "/w==", "AA=="),
}


@dataclass(frozen=True)
class Step:
    """One request, or a Scan in segments. `follow`: pages are read to the end. `about`: what it is an example of."""

    operation: str
    request: dict[str, Any]
    about: str
    follow: bool = False


class Generator:
    """One seed, one sequence of requests. It has two tables of its own, made by its first steps.

    One table has a range key of type `range_type`, the other has none.
    """

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.single = f"single-{seed}"
        self.double = f"double-{seed}"
        self.range_type = self.rng.choice(tuple(RANGES))

    def steps(self) -> Iterator[Step]:
        """The whole sequence: two tables are made, then come 3 to 12 requests."""
        yield self._create(self.single, {"pk": "S"})
        yield self._create(self.double, {"pk": "S", "sk": self.range_type})
        makers: tuple[Callable[[], Step], ...] = (
            self._put,
            self._put,
            self._update,
            self._update,
            self._delete,
            self._get,
            self._query,
            self._scan,
            self._batch_write,
            self._batch_write,
            self._batch_get,
            self._mistake,
            self._mistake,
            self._mistake,
            self._mistake,
        )
        # Something is there from the start, else half of the conditions meet nothing.
        yield self._batch_write()
        for _ in range(self.rng.randint(2, 11)):
            yield self.rng.choice(makers)()
        # Whatever was answered: is the same there now?
        for table in (self.single, self.double):
            yield Step("Scan", {"TableName": table, "ConsistentRead": True}, "rest", follow=True)

    def _create(self, table: str, keys: dict[str, str]) -> Step:
        roles = zip(keys, ("HASH", "RANGE"), strict=False)
        request = {
            "TableName": table,
            "AttributeDefinitions": [{"AttributeName": n, "AttributeType": t} for n, t in keys.items()],
            "KeySchema": [{"AttributeName": n, "KeyType": role} for n, role in roles],
            "BillingMode": "PAY_PER_REQUEST",
        }
        return Step("CreateTable", request, "table")

    def _table(self) -> str:
        return self.rng.choice((self.single, self.double, self.double))

    def _key(self, table: str) -> dict[str, Value]:
        key: dict[str, Value] = {"pk": {"S": self.rng.choice(HASHES)}}
        if table == self.double:
            key["sk"] = {self.range_type: self.rng.choice(RANGES[self.range_type])}
        return key

    def _item(self, table: str) -> dict[str, Value]:
        names = self.rng.sample(NAMES, self.rng.randint(0, 4))
        return self._key(table) | {name: value(self.rng) for name in names}

    def _write(self, table: str, operation: str, about: str, request: dict[str, Any], scope: Scope) -> Step:
        """A single write, with a condition more often than not."""
        if self.rng.random() < 0.6:
            request["ConditionExpression"] = condition(scope)
            about += " on a condition"
            if self.rng.random() < 0.5:
                request["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        return Step(operation, {"TableName": table, **request, **scope.parameters()}, about)

    def _put(self) -> Step:
        table = self._table()
        request = {"Item": self._item(table), "ReturnValues": self.rng.choice(("NONE", "ALL_OLD"))}
        return self._write(table, "PutItem", "put", request, Scope(self.rng))

    def _delete(self) -> Step:
        table = self._table()
        request = {"Key": self._key(table), "ReturnValues": self.rng.choice(("NONE", "ALL_OLD"))}
        return self._write(table, "DeleteItem", "delete", request, Scope(self.rng))

    def _update(self) -> Step:
        table = self._table()
        scope = Scope(self.rng)
        wanted = self.rng.choice(("NONE", "ALL_OLD", "ALL_NEW", "UPDATED_OLD", "UPDATED_NEW"))
        request = {"Key": self._key(table), "ReturnValues": wanted}
        # Left out with UPDATED_*: no expression, at which DynamoDB Local breaks (HTTP 500), and paths into attributes,
        # of which it returns the whole attribute, the service "only the updated attributes" (API reference).
        if wanted.startswith("UPDATED"):
            request["UpdateExpression"] = update(scope, nested=False)
        elif self.rng.random() < 0.9:
            request["UpdateExpression"] = update(scope)
        return self._write(table, "UpdateItem", "update", request, scope)

    def _get(self) -> Step:
        table = self._table()
        scope = Scope(self.rng)
        request = {"TableName": table, "Key": self._key(table)} | self._projection(scope)
        return Step("GetItem", request | scope.parameters() | self._consistent(), "get")

    def _query(self) -> Step:
        table = self._table()
        scope = Scope(self.rng)
        wanted = f"{scope.name('pk')} = {scope.given({'S': self.rng.choice(HASHES)})}"
        limited = table == self.double and self.rng.random() < 0.8
        if table == self.double and self.rng.random() < 0.6:
            wanted += f" AND {self._range(scope, limited)}"
        request: dict[str, Any] = {"TableName": table, "KeyConditionExpression": wanted}
        if self.rng.random() < 0.3:
            request["ScanIndexForward"] = self.rng.random() < 0.5
        return self._pages("Query", request, scope, limited)

    def _range(self, scope: Scope, limited: bool) -> str:
        """A condition on the range key.

        Left out: a Limit with a range that includes its ends. When an item there is the last one of a page,
        DynamoDB Local knows that no other can follow and gives no LastEvaluatedKey; with a hash key alone likewise.
        "If LastEvaluatedKey is not empty, it does not necessarily mean that there is more data" (API reference).
        """
        name = scope.name("sk")
        if limited:
            given = scope.given({self.range_type: self.rng.choice(RANGES[self.range_type])})
            return f"{name} {self.rng.choice('<>')} {given}"
        # In order by every type.
        low, high = {"N": ("-0.5", "2"), "S": ("B", "ab"), "B": ("AA==", "YWI=")}[self.range_type]
        kinds = ["compare", "between"] + (["begins"] if self.range_type != "N" else [])
        match self.rng.choice(kinds):
            case "compare":
                given = scope.given({self.range_type: self.rng.choice(RANGES[self.range_type])})
                return f"{name} {self.rng.choice(('=', '<', '<=', '>', '>='))} {given}"
            case "between":
                return (
                    f"{name} BETWEEN {scope.given({self.range_type: low})} AND {scope.given({self.range_type: high})}"
                )
            case _:
                return (
                    f"begins_with({name}, {scope.given({self.range_type: self.rng.choice(RANGES[self.range_type])})})"
                )

    def _scan(self) -> Step:
        request: dict[str, Any] = {"TableName": self._table()}
        if self.rng.random() < 0.2:
            request["TotalSegments"] = self.rng.randint(1, 3)
        return self._pages("Scan", request, Scope(self.rng), self.rng.random() < 0.6)

    def _pages(self, operation: str, request: dict[str, Any], scope: Scope, limited: bool) -> Step:
        """A Query or a Scan. Which items are in one page of a Scan is not defined, so these are read to the end."""
        if self.rng.random() < 0.4:
            request["FilterExpression"] = condition(scope)
        if self.rng.random() < 0.15:
            request["Select"] = self.rng.choice(("COUNT", "ALL_ATTRIBUTES"))
        else:
            request |= self._projection(scope)
        if limited:
            request["Limit"] = self.rng.randint(1, 3)
        follow = operation == "Scan" or self.rng.random() < 0.6
        return Step(operation, request | scope.parameters() | self._consistent(), operation.lower(), follow)

    def _projection(self, scope: Scope) -> dict[str, Any]:
        if self.rng.random() < 0.7:
            return {}
        names = self.rng.sample(("pk", *NAMES), self.rng.randint(1, 3))
        return {"ProjectionExpression": ", ".join(scope.path(name) for name in names)}

    def _consistent(self) -> dict[str, Any]:
        return {"ConsistentRead": True} if self.rng.random() < 0.5 else {}

    def _batch_write(self) -> Step:
        writes: dict[str, list[Any]] = {}
        seen = set()
        for _ in range(self.rng.randint(1, 10)):
            table = self._table()
            item = self._item(table)
            identity = (table, item["pk"]["S"], _by_value(item.get("sk")))
            if identity in seen:
                continue
            seen.add(identity)
            key = {name: item[name] for name in ("pk", "sk") if name in item}
            write = {"PutRequest": {"Item": item}} if self.rng.random() < 0.8 else {"DeleteRequest": {"Key": key}}
            writes.setdefault(table, []).append(write)
        return Step("BatchWriteItem", {"RequestItems": writes}, "batch write")

    def _batch_get(self) -> Step:
        keys: dict[str, Any] = {}
        for table in (self.single, self.double):
            found = {}
            for _ in range(self.rng.randint(0, 4)):
                key = self._key(table)
                found[key["pk"]["S"], _by_value(key.get("sk"))] = key
            if found:
                scope = Scope(self.rng)
                keys[table] = {"Keys": list(found.values())} | self._projection(scope) | scope.parameters()
        return Step("BatchGetItem", {"RequestItems": keys}, "batch get") if keys else self._get()

    def _mistake(self) -> Step:
        """A request that is refused, most of the time."""
        table = self._table()
        about, make = self.rng.choice(MISTAKES)
        operation, request = make(self.rng, table, self._item(table), self._key(table))
        return Step(operation, request, about)


def _by_value(key_value: Value | None) -> Any:
    if key_value is None:
        return None
    ((kind, content),) = key_value.items()
    return float(content) if kind == "N" else content
