"""A caller that knows when it was answered last."""

from collections.abc import Callable

from dynamirror.aws.wire import Caller
from dynamirror.errors import ConditionFailed


class Answered:
    """Passes all on. A refused condition is an answer; being throttled is none, since nothing was done."""

    def __init__(self, caller: Caller, boottime_s: Callable[[], float]) -> None:
        self._caller = caller
        self._boottime_s = boottime_s
        # Boot time; of the making until there was an answer.
        self.at_s = boottime_s()

    @property
    def url(self) -> str:
        """See Caller."""
        return self._caller.url

    async def call(self, operation: str, body: bytes) -> bytes:
        """See Caller."""
        try:
            answer = await self._caller.call(operation, body)
        except ConditionFailed:
            self.at_s = self._boottime_s()
            raise
        self.at_s = self._boottime_s()
        return answer
