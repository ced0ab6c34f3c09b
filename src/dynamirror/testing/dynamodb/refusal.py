"""How the service says no."""

from typing import Any

import msgspec

_DYNAMODB = "com.amazonaws.dynamodb.v20120810#"
_SERVICE = "com.amazon.coral.service#"
_PREFIXES = {
    "ValidationException": "com.amazon.coral.validate#",
    "SerializationException": _SERVICE,
    "UnknownOperationException": _SERVICE,
    "RequestEntityTooLargeException": _SERVICE,
}

_encode = msgspec.json.Encoder().encode


class Refusal(Exception):
    """An answer that is an error; nothing was applied."""

    def __init__(self, name: str, message: str, status: int = 400, **more: Any) -> None:
        """`more`: further members of the answer's body."""
        super().__init__(f"{name}: {message}")
        self.status = status
        self._content = {"__type": _PREFIXES.get(name, _DYNAMODB) + name, "message": message, **more}

    @property
    def body(self) -> bytes:
        """The answer's body."""
        return _encode(self._content)


def invalid(message: str) -> Refusal:
    """The request is not one that the service could carry out."""
    return Refusal("ValidationException", message)


def unreadable(message: str) -> Refusal:
    """The request has not the form of its type."""
    return Refusal("SerializationException", message)


def wrong_value(message: str) -> Refusal:
    """A value that cannot be stored."""
    return invalid(f"One or more parameter values were invalid: {message}")
