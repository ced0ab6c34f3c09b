"""One table from what DynamoDB answers to what dynamirror does about it.

Names come from the API references of DynamoDB and DynamoDB Streams ("Errors" of each operation, "Common errors").
"""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from dynamirror.aws.wire import UNREADABLE
from dynamirror.errors import (
    AccessDenied,
    ConditionFailed,
    CredentialsExpired,
    DynamirrorError,
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

_MESSAGE_LENGTH_MAX = 300
# Timed out; sent to the wrong server; too early; hung up on (nginx). Whoever says so may have passed the request on.
_DOUBT = frozenset({408, 421, 425, 499})
# Writes of items; on control tables a refusal is a fault of ours, and stops.
_ITEM_WRITES = frozenset({"BatchWriteItem", "PutItem", "DeleteItem"})
_SHARD_OPERATIONS = frozenset({"GetShardIterator", "GetRecords"})
# What a refusal says whose cause is a clock ("Signature expired: ... is now earlier than ...").
_CLOCK_PHRASES = ("signature expired", "signature not yet current")
# What a refusal says of an item's primary key: the table has another one than at the start, so all items are refused.
# Of an index's key it says "Type mismatch for Index Key".
_KEY_PHRASES = ("key element does not match the schema", "Missing the key ", "Type mismatch for key ")
# UpdateTable for a stream that is on ("Table already has an enabled stream: TableName: ...").
_STREAM_IS_ON = "already has an enabled stream"


class ClockOff(Stop):
    """The service refused the signature's time. Nothing was applied. `service.py` corrects the clock once."""


class InUse(Stop):
    """The table is there already, or the same change was made already or is under way."""


class NotOffered(Stop):
    """The service, one that is not DynamoDB itself, knows no such operation."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A refusal as the service put it. `target` names table or stream; `url` what was called."""

    side: Side
    operation: str
    target: str
    url: str
    status: int
    name: str = ""
    said: str = ""

    def __str__(self) -> str:
        """One line for messages: what was attempted, on what, and the answer."""
        answer = ": ".join(part for part in (self.name, self.said) if part) or f"HTTP {self.status}"
        where = ", ".join(part for part in (self.side.value, self.target) if part)
        return f"{self.operation} ({where}): {answer}"


class _ErrorBody(msgspec.Struct):
    """The JSON of an error answer; the message is spelled both ways."""

    type: str = msgspec.field(name="__type")
    message: str | None = None
    Message: str | None = None


class _Targets(msgspec.Struct):
    """Where a request of either API names what it is for."""

    table: str = msgspec.field(name="TableName", default="")
    stream: str = msgspec.field(name="StreamArn", default="")
    tables: dict[str, msgspec.Raw] = msgspec.field(name="RequestItems", default_factory=dict)


_decode_error = msgspec.json.Decoder(_ErrorBody).decode
_decode_targets = msgspec.json.Decoder(_Targets).decode


def target_of(body: bytes) -> str:
    """What a request body is for, in words: "table T", "stream A", or "" when it does not say."""
    try:
        targets = _decode_targets(body)
    except msgspec.DecodeError:
        return ""
    if targets.table or targets.tables:
        return f"table {targets.table or ', '.join(targets.tables)}"
    return f"stream {targets.stream}" if targets.stream else ""


def fault_of(side: Side, operation: str, target: str, answer: tuple[str, int, bytes]) -> DynamirrorError:
    """The error for an answer that is not 200; `answer` is (url, HTTP status, body). `target` as of target_of."""
    url, status, body = answer
    try:
        error = _decode_error(body)
    except UNREADABLE:
        return _unnamed(Fault(side, operation, target, url, status))
    name = error.type.rpartition("#")[2].partition(":")[0]
    said = (error.message or error.Message or "")[:_MESSAGE_LENGTH_MAX]
    return _named(Fault(side, operation, target, url, status, name, said))


def not_dynamodb(side: Side, url: str, status: int) -> Stop:
    """What answered is something else."""
    return Stop(side, f"{url} answered (HTTP {status}), but is not DynamoDB; check the endpoint")


def _unnamed(fault: Fault) -> DynamirrorError:
    """An answer without an error name: a proxy or balancer before the service, or another service."""
    # 501, 505: what answered carries out no POST at all.
    if _leaves_doubt(fault.status) and fault.status not in (501, 505):
        return Unanswered(fault.side, f"{fault}, without a word of DynamoDB's own; a proxy before {fault.url}?")
    if fault.status == 429:
        return Throttled(fault.side, str(fault))
    if fault.status == 413 and _writes_an_item(fault):
        return ItemRefused(f"{fault}: the request is too large")
    return not_dynamodb(fault.side, fault.url, fault.status)


def _named(fault: Fault) -> DynamirrorError:
    if any(phrase in fault.said.lower() for phrase in _CLOCK_PHRASES):
        return _clock(fault)
    make = _BY_NAME.get(fault.name)
    if make is not None:
        return make(fault)
    if _leaves_doubt(fault.status):
        return Unanswered(fault.side, str(fault))
    if fault.status == 429:
        return Throttled(fault.side, str(fault))
    if fault.status == 413 and _writes_an_item(fault):
        return ItemRefused(str(fault))
    return Stop(fault.side, str(fault))


def _leaves_doubt(status: int) -> bool:
    """By its status alone, the answer does not tell whether the request was carried out."""
    return status >= 500 or status in _DOUBT


def _writes_an_item(fault: Fault) -> bool:
    return fault.operation in _ITEM_WRITES and fault.side is not Side.STATE


def _throttled(fault: Fault) -> DynamirrorError:
    return Throttled(fault.side, str(fault))


def _unanswered(fault: Fault) -> DynamirrorError:
    return Unanswered(fault.side, str(fault))


def _expired(fault: Fault) -> DynamirrorError:
    return CredentialsExpired(fault.side, f"{fault}; renew the credentials of the {fault.side.value}")


def _clock(fault: Fault) -> DynamirrorError:
    return ClockOff(fault.side, f"{fault}; check this machine's clock")


def _not_accepted(fault: Fault) -> DynamirrorError:
    advice = "the service does not know these credentials: check keys, session token, account and Region"
    return AccessDenied(fault.side, f"{fault}; {advice}")


def _denied(fault: Fault) -> DynamirrorError:
    return AccessDenied(fault.side, f"{fault}; allow dynamodb:{fault.operation}{_on(fault.target)}")


def _missing(fault: Fault) -> DynamirrorError:
    if fault.operation in _SHARD_OPERATIONS:
        return ShardGone(str(fault))
    return NotFound(fault.side, f"{fault}; check its name, the Region and the account")


def _invalid(fault: Fault) -> DynamirrorError:
    if _writes_an_item(fault) and any(phrase in fault.said for phrase in _KEY_PHRASES):
        return Stop(fault.side, f"{fault}; the table no longer has the key schema that it had at the start")
    if _writes_an_item(fault):
        return ItemRefused(str(fault))
    if fault.operation == "UpdateTable" and _STREAM_IS_ON in fault.said:
        return _in_use(fault)
    return Stop(fault.side, str(fault))


def _in_use(fault: Fault) -> DynamirrorError:
    return InUse(fault.side, str(fault))


def _unknown_operation(fault: Fault) -> DynamirrorError:
    return NotOffered(fault.side, f"{fault}; {fault.url} does not offer it, check the endpoint")


def _plain(error: Callable[[str], DynamirrorError]) -> Callable[[Fault], DynamirrorError]:
    return lambda fault: error(str(fault))


def _table(*rows: tuple[Callable[[Fault], DynamirrorError], str]) -> dict[str, Callable[[Fault], DynamirrorError]]:
    return {name: make for make, names in rows for name in names.split()}


_BY_NAME = _table(
    # Answers that say: later. Nothing was applied, conflicts included.
    (_throttled, "ProvisionedThroughputExceededException ThrottlingException Throttling ThrottledException"),
    (_throttled, "RequestLimitExceeded RequestLimitExceededException LimitExceededException TooManyRequestsException"),
    (_throttled, "RequestThrottled RequestThrottledException SlowDown"),
    (_throttled, "TransactionConflictException ReplicatedWriteConflictException"),
    # For a while after a table's creation.
    (_throttled, "ContinuousBackupsUnavailableException"),
    (_unanswered, "InternalServerError InternalServerErrorException InternalFailure InternalError"),
    (_unanswered, "ServiceUnavailable ServiceUnavailableException RequestTimeout RequestTimeoutException"),
    (_expired, "ExpiredTokenException ExpiredToken"),
    (_clock, "RequestTimeTooSkewed RequestExpired"),
    (_not_accepted, "UnrecognizedClientException InvalidClientTokenId InvalidAccessKeyId InvalidSignatureException"),
    (_not_accepted, "SignatureDoesNotMatch MissingAuthenticationToken MissingAuthenticationTokenException"),
    (_not_accepted, "IncompleteSignature IncompleteSignatureException OptInRequired"),
    (_denied, "AccessDeniedException AccessDenied UnauthorizedOperation NotAuthorized"),
    (_missing, "ResourceNotFoundException TableNotFoundException"),
    (_plain(IteratorExpired), "ExpiredIteratorException"),
    (_plain(Trimmed), "TrimmedDataAccessException"),
    (_plain(ConditionFailed), "ConditionalCheckFailedException"),
    (_plain(ItemRefused), "ItemCollectionSizeLimitExceededException"),
    (_invalid, "ValidationException"),
    (_in_use, "ResourceInUseException TableAlreadyExistsException"),
    (_unknown_operation, "UnknownOperationException"),
)


def _on(target: str) -> str:
    return f" on {target}" if target else ""
