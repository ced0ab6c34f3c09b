"""Who writes a table while it is copied: anywhere in it, and where the copy is about to read or has just been."""

import json
import random
import threading
from collections import Counter, deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.support.items import random_item
from tests.support.raw_items import RawTable

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

PAUSE_S = 0.02
# Looking where the copy is costs the database more than a write.
LOOK_EVERY = 5
AHEAD = 20

# The rows of the copy's segments, as they stand in the state table.
Segments = Callable[[], list[dict[str, Any]]]


class Aim:
    """Keys just ahead of, and just behind, the place that a segment's row tells."""

    def __init__(self, table: RawTable, segments: Segments, rng: random.Random) -> None:
        self.table = table
        self._segments = segments
        self._rng = rng
        # By segment: where it was, and what came next there.
        self._seen: dict[str, tuple[str, list[str]]] = {}
        self.ahead: deque[str] = deque(maxlen=2 * AHEAD)
        self.behind: deque[str] = deque(maxlen=2 * AHEAD)

    def look(self) -> None:
        """Find the keys anew, those of one segment that somebody is copying; none when nobody copies any."""
        self.ahead.clear()
        rows = self._segments()
        for row in rows:
            number, after = row["id"]["S"], _after(row)
            if number in self._seen and (self._seen[number][0] != after or row["done"]["BOOL"]):
                self.behind.extend(self._seen.pop(number)[1])
        under_way = [row for row in rows if "worker" in row and not row["done"]["BOOL"]]
        if not under_way:
            return
        row = self._rng.choice(under_way)
        start = {"ExclusiveStartKey": json.loads(_after(row))} if _after(row) else {}
        number = row["id"]["S"]
        found, _ = self.table.page(Segment=int(number), TotalSegments=len(rows), Limit=AHEAD, **start)
        self._seen[number] = _after(row), list(found)
        self.ahead.extend(found)


def write_until(stop: threading.Event, client: "DynamoDBClient", aim: Aim, number: int, items: int) -> "Counter[str]":
    """Inserts, updates and deletes; how many of each aim."""
    rng = random.Random(number)
    counts: Counter[str] = Counter()
    step = 0
    while not stop.wait(PAUSE_S):
        if step % LOOK_EVERY == 0:
            aim.look()
        step += 1
        place, keys = rng.choice([("anywhere", None), ("ahead", aim.ahead), ("behind", aim.behind)])
        if not keys:
            place = "anywhere"
        key = {"pk": {"S": rng.choice(keys) if keys else f"item {rng.randrange(items + items // 20)}"}}
        if rng.random() < 0.3:
            client.delete_item(TableName=aim.table.name, Key=key)
        elif rng.random() < 0.5:
            client.put_item(TableName=aim.table.name, Item=key | random_item(rng) | {"by": {"N": str(number)}})
        else:
            client.update_item(
                TableName=aim.table.name,
                Key=key,
                UpdateExpression="ADD hits :one",
                ExpressionAttributeValues={":one": {"N": "1"}},
            )
        counts[place] += 1
    return counts


def _after(row: dict[str, Any]) -> str:
    return str(row["after"]["S"]) if "after" in row else ""
