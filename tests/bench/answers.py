"""Answers that the bench makes itself, in the service's words.

Sources: "Errors" in the API references of DynamoDB and DynamoDB Streams, ThrottlingReason in the former, and what
DynamoDB Local answers.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

MODEL = "com.amazonaws.dynamodb.v20120810#"
CORAL = "com.amazon.coral.service#"
AVAILABILITY = "com.amazon.coral.availability#"
VALIDATE = "com.amazon.coral.validate#"
JSON_TYPE = "application/x-amz-json-1.0"


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, body and headers (names in lower case), without those of the connection."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class Refusal(Exception):
    """The request is answered with this error."""

    def __init__(self, type_name: str, message: str, status: int = 400, **more: Any) -> None:
        super().__init__(f"{type_name}: {message}")
        # InternalFailure and its like say "Message", the model's own "message"; clients read both.
        body = json.dumps({"__type": type_name, "message": message, **more}).encode()
        self.answer = answer(body, status)


def answer(body: bytes, status: int = 200, content_type: str = JSON_TYPE) -> Answer:
    """An answer with its checksum."""
    return Answer(status, body, {"content-type": content_type, "x-amz-crc32": str(crc32(body))})


def reasons(resource: str, *names: str) -> list[dict[str, str]]:
    """ThrottlingReasons, one for each name: `TableWriteKeyRangeThroughputExceeded`."""
    return [{"reason": name, "resource": resource} for name in names]


def throughput_exceeded(resource: str, names: Sequence[str]) -> Refusal:
    """A provisioned table has no capacity left, as a whole or in one partition."""
    message = (
        "The level of configured provisioned throughput for the table was exceeded. Consider increasing your "
        "provisioning level with the UpdateTable API."
    )
    return Refusal(
        f"{MODEL}ProvisionedThroughputExceededException", message, ThrottlingReasons=reasons(resource, *names)
    )


def on_demand_exceeded(resource: str, name: str) -> Refusal:
    """An on-demand table grows too slowly for what is asked, or is at its maximum; `name` is the reason."""
    message = (
        "Throughput exceeds the current capacity of your table or index. DynamoDB is automatically scaling your table "
        "or index so please try again shortly. If exceptions persist, check if you have a hot key."
    )
    return Refusal(f"{AVAILABILITY}ThrottlingException", message, throttlingReasons=reasons(resource, name))


def account_exceeded(resource: str, name: str) -> Refusal:
    """The account's own quota."""
    message = (
        "Throughput exceeds the current throughput limit for your account. Please contact AWS Support to request a "
        "limit increase."
    )
    return Refusal(f"{MODEL}RequestLimitExceeded", message, ThrottlingReasons=reasons(resource, name))


def rate_exceeded() -> Refusal:
    """Too many calls of a control operation."""
    return Refusal(f"{AVAILABILITY}ThrottlingException", "Rate of requests exceeds the allowed throughput.")


def too_many_readers() -> Refusal:
    """A third reader of one shard, or one that reads too often."""
    return Refusal(f"{MODEL}LimitExceededException", "Too many operations for a given subscriber.")


def trimmed() -> Refusal:
    """Older than the oldest record that the shard still has."""
    message = "The operation attempted to read past the oldest stream record in a shard"
    return Refusal(f"{MODEL}TrimmedDataAccessException", message)


def iterator_expired() -> Refusal:
    """A shard iterator older than its life."""
    return Refusal(f"{MODEL}ExpiredIteratorException", "The provided iterator exceeds the maximum age allowed.")


def not_found(what: str) -> Refusal:
    """`Stream` or `Shard`, as DynamoDB Local puts it."""
    return Refusal(f"{MODEL}ResourceNotFoundException", f"{what} does not exist")


def invalid(said: str) -> Refusal:
    """A parameter out of its range."""
    return Refusal(f"{VALIDATE}ValidationException", f"One or more parameter values were invalid: {said}")


def internal_error() -> Refusal:
    """HTTP 500."""
    return Refusal(f"{MODEL}InternalServerError", "Internal server error", 500)


def unavailable() -> Refusal:
    """HTTP 503."""
    message = "The service is currently unavailable or busy."
    return Refusal(f"{CORAL}ServiceUnavailableException", message, 503)


def token_expired() -> Refusal:
    """Temporary credentials past their end."""
    return Refusal(f"{CORAL}ExpiredTokenException", "The security token included in the request is expired")


def html_page(status: int) -> Answer:
    """What a middlebox says in the service's place: no JSON, no checksum."""
    body = f"<html><head><title>{status}</title></head><body><center><h1>{status}</h1></center></body></html>\r\n"
    return Answer(status, body.encode(), {"content-type": "text/html"})
