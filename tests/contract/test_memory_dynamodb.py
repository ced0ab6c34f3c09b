"""DynamoDB in memory answers like DynamoDB Local, on generated requests; where that one is known to differ from the
service, the generator leaves the case out and says why.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

import msgspec
import pytest

from dynamirror.testing.memory_dynamodb import Answer, MemoryDynamoDB
from tests.contract.differential import Outcome, first_difference, outcomes, shortest
from tests.support.dynamodb_local import DynamoDBLocal, new_access_key
from tests.support.dynamodb_mistakes import MISTAKES
from tests.support.dynamodb_requests import Generator, Step
from tests.support.raw_dynamodb import RawDynamoDB

SEQUENCES = 1000
# A database slows down with the tables that it holds.
SEQUENCES_PER_DATABASE = 50
EACH_CLASS_MIN = 50

REFUSED = "ValidationException"
FAILED = "ConditionalCheckFailedException"
CLASSES = {
    *(f"{write}{how}" for write in ("put", "update", "delete") for how in (": ok", " on a condition: ok")),
    *(f"{write} on a condition: {FAILED}" for write in ("put", "update", "delete")),
    *(f"{read}: ok" for read in ("get", "batch get", "query", "scan", "rest")),
    *(f"{read}: goes on" for read in ("query", "scan")),
    "scan: in segments",
    "batch write: ok",
    f"update: {REFUSED}",
    "no table: ResourceNotFoundException",
    "batch of no table: ResourceNotFoundException",
    *(f"{about}: {REFUSED}" for about, _ in MISTAKES if not about.endswith("no table")),
}


def classes(step: Step, found: Sequence[Outcome]) -> Iterator[str]:
    """What a step and its outcome are examples of."""
    yield f"{step.about}: {found[0].get('error', 'ok')}"
    if "TotalSegments" in step.request:
        yield f"{step.about}: in segments"
    if any(outcome.get("LastEvaluatedKey") for outcome in found):
        yield f"{step.about}: goes on"


def both(local: DynamoDBLocal, steps: Sequence[Step]) -> int | None:
    """The first difference on databases of their own."""
    with closing(RawDynamoDB(local.url, new_access_key())) as fresh:
        return first_difference(steps, MemoryDynamoDB().answer, fresh.answer)


def explained(local: DynamoDBLocal, seed: int, steps: Sequence[Step]) -> str:
    """What differs, as short as it can be said."""
    found = shortest(steps, lambda fewer: both(local, fewer) == len(fewer) - 1)
    memory = MemoryDynamoDB()
    with closing(RawDynamoDB(local.url, new_access_key())) as fresh:
        mine, local_ones = [[outcomes(step, each) for step in found][-1] for each in (memory.answer, fresh.answer)]
    lines = [f"{step.operation} {msgspec.json.encode(step.request).decode()[:2000]}" for step in found]
    return "\n".join([f"seed {seed}:", *lines, f"in memory: {mine}", f"DynamoDB Local: {local_ones}"])


@pytest.mark.timeout(300)
def test_answers_are_those_of_dynamodb_local(dynamodb_local: DynamoDBLocal) -> None:
    seen: Counter[str] = Counter()
    for start in range(0, SEQUENCES, SEQUENCES_PER_DATABASE):
        memory = MemoryDynamoDB()
        with closing(RawDynamoDB(dynamodb_local.url, new_access_key())) as local:
            for seed in range(start, start + SEQUENCES_PER_DATABASE):
                steps = list(Generator(seed).steps())
                for place, step in enumerate(steps):
                    expected = outcomes(step, local.answer)
                    if outcomes(step, memory.answer) != expected:
                        pytest.fail(explained(dynamodb_local, seed, steps[: place + 1]), pytrace=False)
                    seen.update(classes(step, expected))
    rare = {name: seen[name] for name in CLASSES if seen[name] < EACH_CLASS_MIN}
    assert not rare, f"hardly tried: {rare}"


def lying(answer: Callable[[str, bytes], Answer]) -> Callable[[str, bytes], Answer]:
    """A service that overlooks one of three conditions of PutItem."""

    def lies(operation: str, body: bytes) -> Answer:
        request = msgspec.json.decode(body)
        if operation == "PutItem" and "attribute_exists" in request.get("ConditionExpression", ""):
            request = {name: request[name] for name in ("TableName", "Item")}
        return answer(operation, msgspec.json.encode(request))

    return lies


def test_a_service_that_overlooks_a_condition_is_found_out() -> None:
    """Without DynamoDB Local: in memory against in memory, one of them lying."""
    for seed in range(200):
        steps = list(Generator(seed).steps())
        place = first_difference(steps, MemoryDynamoDB().answer, lying(MemoryDynamoDB().answer))
        if place is not None:
            break
    else:
        raise AssertionError("it was not found out")

    def differs(fewer: Sequence[Step]) -> bool:
        return first_difference(fewer, MemoryDynamoDB().answer, lying(MemoryDynamoDB().answer)) == len(fewer) - 1

    # Its table, and the request itself.
    assert [step.operation for step in shortest(steps[: place + 1], differs)] == ["CreateTable", "PutItem"]
