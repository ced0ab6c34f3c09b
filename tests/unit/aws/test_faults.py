"""Every answer that is not 200 has one consequence, and its message says what was attempted, on what, what to do."""

import json

import pytest

from dynamirror.aws.faults import ClockOff, InUse, NotOffered, fault_of, target_of
from dynamirror.errors import (
    AccessDenied,
    ConditionFailed,
    CredentialsExpired,
    DynamirrorError,
    ExitCode,
    ItemRefused,
    IteratorExpired,
    NotFound,
    ShardGone,
    Side,
    Stop,
    Throttled,
    Trimmed,
    Unanswered,
)

URL = "http://127.0.0.1:8000/"
PREFIX = "com.amazonaws.dynamodb.v20120810#"


def fault(
    name: str, operation: str = "UpdateItem", said: str = "words", status: int = 400, prefix: str = PREFIX
) -> DynamirrorError:
    body = json.dumps({"__type": prefix + name, "message": said}).encode()
    return fault_of(Side.DESTINATION, operation, "table T", (URL, status, body))


@pytest.mark.parametrize(
    "name,kind",
    [
        ("ProvisionedThroughputExceededException", Throttled),
        ("ThrottlingException", Throttled),
        ("RequestLimitExceeded", Throttled),
        ("LimitExceededException", Throttled),
        ("TransactionConflictException", Throttled),
        ("ReplicatedWriteConflictException", Throttled),
        ("RequestThrottledException", Throttled),
        ("SlowDown", Throttled),
        ("RequestTimeout", Unanswered),
        ("RequestTimeoutException", Unanswered),
        ("InternalServerError", Unanswered),
        ("ServiceUnavailable", Unanswered),
        ("ExpiredTokenException", CredentialsExpired),
        ("UnrecognizedClientException", AccessDenied),
        ("InvalidSignatureException", AccessDenied),
        ("MissingAuthenticationTokenException", AccessDenied),
        ("AccessDeniedException", AccessDenied),
        ("RequestTimeTooSkewed", ClockOff),
        ("ResourceNotFoundException", NotFound),
        ("ResourceInUseException", InUse),
        ("ConditionalCheckFailedException", ConditionFailed),
        ("ItemCollectionSizeLimitExceededException", ItemRefused),
        ("ExpiredIteratorException", IteratorExpired),
        ("TrimmedDataAccessException", Trimmed),
        ("ContinuousBackupsUnavailableException", Throttled),
        ("UnknownOperationException", NotOffered),
        ("ValidationException", Stop),
        ("SomethingNewException", Stop),
    ],
)
@pytest.mark.parametrize("prefix", [PREFIX, "com.amazon.coral.service#", ""])
def test_each_name_has_its_consequence(name: str, kind: type[DynamirrorError], prefix: str) -> None:
    error = fault(name, prefix=prefix)
    assert type(error) is kind
    assert str(error).startswith(f"UpdateItem (destination, table T): {name}: words")


def test_the_operation_decides_where_the_name_does_not() -> None:
    assert isinstance(fault("ValidationException", "BatchWriteItem"), ItemRefused)
    index = "One or more parameter values were invalid: Type mismatch for Index Key a Expected: S Actual: N"
    assert isinstance(fault("ValidationException", "BatchWriteItem", index), ItemRefused)
    assert isinstance(fault("ResourceNotFoundException", "GetRecords"), ShardGone)
    assert isinstance(fault("ResourceNotFoundException", "GetShardIterator"), ShardGone)
    assert isinstance(fault("ResourceNotFoundException", "DescribeStream"), NotFound)
    on_already = "Table already has an enabled stream: TableName: T"
    assert isinstance(fault("ValidationException", "UpdateTable", on_already), InUse)
    assert not isinstance(fault("ValidationException", "UpdateTable"), InUse)


@pytest.mark.parametrize(
    "said",
    [
        "The provided key element does not match the schema",
        "One or more parameter values were invalid: Missing the key pk in the item",
        "One or more parameter values were invalid: Type mismatch for key pk expected: S actual: N",
    ],
)
def test_another_key_schema_is_no_matter_of_one_item(said: str) -> None:
    error = fault("ValidationException", "BatchWriteItem", said)
    assert type(error) is Stop
    assert "key schema" in str(error)


def test_a_signature_out_of_its_time_is_the_clock_not_the_keys() -> None:
    for said in (
        "Signature expired: 20150830T123600Z is now earlier than 20150830T124500Z",
        "Signature not yet current: 20150830T123600Z is still later than 20150830T123000Z",
    ):
        assert isinstance(fault("InvalidSignatureException", said=said), ClockOff)


def test_a_denied_action_is_named() -> None:
    error = fault("AccessDeniedException", "BatchWriteItem")
    assert "allow dynamodb:BatchWriteItem on table T" in str(error)
    assert error.exit_code is ExitCode.DESTINATION


@pytest.mark.parametrize(
    "status,body,kind",
    [
        (500, b"", Unanswered),
        (503, b"<html>busy</html>", Unanswered),
        (501, b"<html>Unsupported method</html>", Stop),
        (502, b'{"message": "Bad gateway"}', Unanswered),
        (504, b"", Unanswered),
        # Who says it may have passed the request on: how much of it, and whether it is done, is not told.
        (408, b"<html>Request Time-out</html>", Unanswered),
        (408, b"", Unanswered),
        (421, b"", Unanswered),
        (425, b"", Unanswered),
        (499, b"", Unanswered),
        (429, b"slow down", Throttled),
        (413, b"<html>too large</html>", ItemRefused),
        (404, b"<html>not found</html>", Stop),
        (403, b'{"message": "Forbidden"}', Stop),
        (400, b"[]", Stop),
        (500, b'{"__type":"\xff"}', Unanswered),
        (301, b"", Stop),
    ],
)
def test_an_answer_without_a_name(status: int, body: bytes, kind: type[DynamirrorError]) -> None:
    error = fault_of(Side.SOURCE, "BatchWriteItem", "", (URL, status, body))
    assert type(error) is kind
    assert str(status) in str(error)
    if kind is Stop:
        assert f"{URL} answered" in str(error)
        assert "is not DynamoDB" in str(error)


@pytest.mark.parametrize("operation", ["BatchWriteItem", "PutItem", "DeleteItem"])
@pytest.mark.parametrize("name,status", [("RequestEntityTooLarge", 413), ("ValidationException", 400)])
def test_a_write_that_is_refused_is_one_items_matter(operation: str, name: str, status: int) -> None:
    assert isinstance(fault(name, operation, status=status), ItemRefused)


def test_413_of_anything_else_is_not() -> None:
    assert type(fault("RequestEntityTooLarge", "Query", status=413)) is Stop


def test_a_control_row_that_is_refused_is_a_fault_of_ours() -> None:
    body = json.dumps({"__type": PREFIX + "ValidationException", "message": "words"}).encode()
    assert type(fault_of(Side.STATE, "PutItem", "table T", (URL, 400, body))) is Stop


@pytest.mark.parametrize(
    "status,kind", [(500, Unanswered), (503, Unanswered), (408, Unanswered), (429, Throttled), (404, Stop)]
)
def test_a_name_that_is_not_known_goes_by_its_status(status: int, kind: type[DynamirrorError]) -> None:
    assert type(fault("SomethingNewException", status=status)) is kind


def test_messages_are_bounded_and_may_be_spelled_with_a_capital() -> None:
    body = json.dumps({"__type": "X", "Message": "m" * 5000}).encode()
    error = fault_of(Side.SOURCE, "Scan", "table T", (URL, 400, body))
    assert "mmm" in str(error)
    assert len(str(error)) < 500


@pytest.mark.parametrize(
    "body,target",
    [
        (b'{"TableName":"T","Item":{"a":{"S":"TableName"}}}', "table T"),
        (b'{"RequestItems":{"T":[{"PutRequest":{"Item":{}}}],"U":[]}}', "table T, U"),
        (b'{"StreamArn":"arn:aws:x","ShardId":"s"}', "stream arn:aws:x"),
        (b'{"ShardIterator":"i"}', ""),
        (b"no json", ""),
    ],
)
def test_requests_say_what_they_are_for(body: bytes, target: str) -> None:
    assert target_of(body) == target
