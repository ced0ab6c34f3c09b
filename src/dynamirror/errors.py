"""Every error of dynamirror, by its consequence: retry, stop, or one item that can never be written.

Foreign exceptions (HTTP, botocore, the operating system) are mapped to these once, in `aws/`.
A message says what was attempted, on what, and what to do about it. No message carries a secret.
"""

from enum import Enum, IntEnum


class ExitCode(IntEnum):
    """What a script may rely on (docs/reference/exit-codes.md)."""

    OK = 0
    DIFFERS = 1
    USAGE = 2
    SOURCE = 3
    DESTINATION = 4
    STATE = 5
    GAP = 6
    PARKED = 7
    INTERNAL = 70


class Side(Enum):
    """Whose table a request was for; the value is the word used in messages."""

    SOURCE = "source"
    DESTINATION = "destination"
    STATE = "lease table"

    @property
    def exit_code(self) -> ExitCode:
        """The exit code when this side makes the program stop."""
        return _EXIT_CODE_OF_SIDE[self]


_EXIT_CODE_OF_SIDE = {
    Side.SOURCE: ExitCode.SOURCE,
    Side.DESTINATION: ExitCode.DESTINATION,
    Side.STATE: ExitCode.STATE,
}


class DynamirrorError(Exception):
    """Root of the tree. `exit_code` is what the program ends with when nobody handles the error."""

    exit_code: ExitCode = ExitCode.INTERNAL


class Refused(DynamirrorError):
    """Arguments or configuration that cannot be carried out. Nothing has been changed."""

    exit_code = ExitCode.USAGE


class Unmet(DynamirrorError):
    """What was waited for did not come in time, or a hook or the operator said no."""

    exit_code = ExitCode.DIFFERS


class Stop(DynamirrorError):
    """Going on cannot help before somebody acts: table gone, access denied, key schemas differ."""

    def __init__(self, side: Side, message: str) -> None:
        super().__init__(message)
        self.side = side
        self.exit_code = side.exit_code


class NotFound(Stop):
    """The named table or stream does not exist."""


class AccessDenied(Stop):
    """The credentials may not do this; the message names the missing action."""


class Gap(Stop):
    """Changes were trimmed before they were read: the copy may differ until it is verified."""

    # Ends the message that stops a worker.
    ADVICE = (
        "To go on, start all workers with --on-gap continue and then run dynamirror verify --repair, or start them "
        "with --on-gap reconcile. To start over, dynamirror reset, and copy the table anew"
    )

    def __init__(self, message: str, what: str = "", shard_id: str = "", behind: str = "") -> None:
        """`what` is gone of a shard, `behind` which place: for the row of the gap, where the task goes on."""
        super().__init__(Side.SOURCE, message)
        self.exit_code = ExitCode.GAP
        self.what, self.shard_id, self.behind = what, shard_id, behind


class ShardLost(Gap):
    """A gap that reaches to the end of its shard: the stream no longer knows it."""


class LifeOver(Stop):
    """This life of the task is over: its stream is off, and applied to its end, or others have begun the next one."""


class TooManyParked(Stop):
    """More items are refused than may be parked: something is wrong with the table, not with items."""

    def __init__(self, message: str) -> None:
        super().__init__(Side.DESTINATION, message)
        self.exit_code = ExitCode.PARKED


class Retry(DynamirrorError):
    """Passing by nature: the same request may succeed later. `side` tells whom to blame when it never does."""

    def __init__(self, side: Side, message: str) -> None:
        super().__init__(message)
        self.side = side
        self.exit_code = side.exit_code


class Throttled(Retry):
    """The service answered: not now. Nothing was applied."""


class Unreachable(Retry):
    """The request never left: no connection, name not resolved, TLS refused. Nothing was applied."""


class CredentialsExpired(Retry):
    """The service refused the credentials as expired. Nothing was applied."""


class Unanswered(Retry):
    """Time-out, reset after the first byte, or a 5xx: the request may or may not have been applied,
    and may still land later (docs/decisions: doubt)."""


class ItemRefused(DynamirrorError):
    """The destination will never take this write as it is (ValidationException of one item)."""

    exit_code = ExitCode.DESTINATION


class ConditionFailed(DynamirrorError):
    """A conditional write was refused: the row is not as it was read."""

    exit_code = ExitCode.STATE


class LeaseLost(DynamirrorError):
    """Another worker has the lease. Ends that shard here; never ends the program."""

    exit_code = ExitCode.STATE


class IteratorExpired(DynamirrorError):
    """A shard iterator older than 15 minutes. A new one after the last record read goes on."""

    exit_code = ExitCode.SOURCE


class Trimmed(DynamirrorError):
    """The position asked for lies before the oldest record that the stream still has."""

    exit_code = ExitCode.GAP


class ShardGone(DynamirrorError):
    """The stream no longer knows the shard. Never taken for the shard's end (docs/LEASES.md, P-21)."""

    exit_code = ExitCode.GAP
