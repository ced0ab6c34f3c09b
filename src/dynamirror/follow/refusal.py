"""How an item that the destination refuses is told of."""

from dynamirror.errors import ItemRefused, Side, Stop
from dynamirror.model.change import Write


def refusal(write: Write, error: object) -> str:
    """Which item, and what the destination says."""
    change = f" (change {write.sequence_number})" if write.sequence_number else ""
    return f"the destination refuses the item with key {write.key!r}{change}: {error}"


def stays(write: Write) -> str:
    """What does not pass it."""
    return "the checkpoint stays before it" if write.sequence_number else "the copy stays before it"


def cannot_park(write: Write, error: ItemRefused, why: str) -> Stop:
    """The end of the worker."""
    return Stop(
        Side.DESTINATION,
        f"{refusal(write, error)}. {why}; {stays(write)}: mend the destination table (or the item) and start again",
    )
