"""A service that answers as told, and remembers what it was asked."""

import json
from typing import Any


class ScriptedCaller:
    """`aws.wire.Caller`: each call takes the next answer; an exception among them is raised."""

    url = "https://scripted.invalid/"

    def __init__(self, *answers: Any) -> None:
        """Answers are JSON values, bytes for a body as it is, or exceptions."""
        self.asked: list[tuple[str, Any]] = []
        self.bodies: list[bytes] = []
        self._answers = list(answers)

    async def call(self, operation: str, body: bytes) -> bytes:
        """See aws.wire.Caller."""
        self.bodies.append(body)
        self.asked.append((operation, json.loads(body)))
        answer = self._answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer if isinstance(answer, bytes) else json.dumps(answer).encode()

    @property
    def requests(self) -> list[Any]:
        """What was asked, without the operations' names."""
        return [request for _, request in self.asked]
