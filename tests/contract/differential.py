"""One sequence of requests against two DynamoDBs, their answers side by side."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import msgspec

from dynamirror.testing.memory_dynamodb import Answer
from tests.support.dynamodb_requests import Step
from tests.support.items import comparable

Service: TypeAlias = Callable[[str, bytes], Answer]
# An answer in a form in which equal means the same.
Outcome: TypeAlias = dict[str, Any]

PAGES_MAX = 100


def outcomes(step: Step, service: Service) -> list[Outcome]:
    """What came of a step: one outcome, or one for each page; of a Scan also what all pages have together.

    The order of a Scan is the service's own, and with it what is on which page and in which segment.
    """
    segments = step.request.get("TotalSegments") if step.follow else None
    if segments is None:
        pages = list(_pages(step, step.request, service))
        return pages if step.operation != "Scan" else [*pages, _together(pages)]
    found = [
        page for segment in range(segments) for page in _pages(step, {**step.request, "Segment": segment}, service)
    ]
    return [_together(found), {"errors": [page.get("error") for page in found if "error" in page][:1]}]


def first_difference(steps: Sequence[Step], one: Service, other: Service) -> int | None:
    """The place of the first step that the two answer differently; None: there is none."""
    for place, step in enumerate(steps):
        if outcomes(step, one) != outcomes(step, other):
            return place
    return None


def shortest(steps: Sequence[Step], differs: Callable[[Sequence[Step]], bool]) -> list[Step]:
    """A sequence that differs too, and no longer does without any one of its steps but the last."""
    left = list(steps)
    for place in reversed(range(len(left) - 1)):
        without = left[:place] + left[place + 1 :]
        if differs(without):
            left = without
    return left


def _pages(step: Step, request: dict[str, Any], service: Service) -> Iterator[Outcome]:
    for _ in range(PAGES_MAX):
        answer = service(step.operation, msgspec.json.encode(request))
        content = msgspec.json.decode(answer.body)
        yield _outcome(step, answer.status, content)
        if not step.follow or "LastEvaluatedKey" not in content:
            return
        request = {**request, "ExclusiveStartKey": content["LastEvaluatedKey"]}
    raise AssertionError(f"pages without end: {step}")


def _together(pages: list[Outcome]) -> Outcome:
    """What the pages of a Scan have together; they keep what does not depend on its order."""
    items: Counter[Any] = Counter(item for page in pages for item in page.pop("Items", ()))
    found = sum(page.pop("Count", 0) for page in pages)
    return {"Items": items, "Count": found, "ScannedCount": sum(page.get("ScannedCount", 0) for page in pages)}


def _outcome(step: Step, status: int, content: dict[str, Any]) -> Outcome:
    if status != 200:
        outcome: Outcome = {"status": status, "error": content["__type"].rpartition("#")[2]}
        return outcome | ({"Item": _item(content["Item"])} if "Item" in content else {})
    if step.operation in ("CreateTable", "DescribeTable"):
        return {"status": 200}
    outcome = {"status": 200} | dict(_members(step, content))
    if step.operation == "Scan":
        outcome["LastEvaluatedKey"] = "LastEvaluatedKey" in content
    return outcome


def _members(step: Step, content: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, member in content.items():
        match name:
            case "ConsumedCapacity" if "ReturnConsumedCapacity" not in step.request:
                # DynamoDB Local says so of a DeleteItem that found nothing, asked or not.
                continue
            case "Item" | "Attributes" | "LastEvaluatedKey":
                yield name, _item(member)
            case "Items":
                yield name, [_item(item) for item in member]
            case "Responses":
                yield name, {table: Counter(map(_item, items)) for table, items in member.items()}
            case _:
                yield name, member


def _item(item: dict[str, Any]) -> Any:
    return frozenset((name, comparable(value)) for name, value in item.items())
