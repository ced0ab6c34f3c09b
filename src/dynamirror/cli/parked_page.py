"""What `dynamirror parked` prints: lines, or one JSON document."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from dynamirror.model.parked import Parked
from dynamirror.model.progress_text import size_text
from dynamirror.prove.parked import Fate, Tried

_LEFT = {
    Fate.REFUSED: "the destination still refuses it",
    Fate.DIFFERS: "it differs still, or moves on at every look: try again",
    Fate.PARKED_ANEW: "a newer change of it was parked meanwhile",
}


def list_text(found: Sequence[Parked]) -> str:
    """Two lines an item."""
    if not found:
        return "Nothing is parked."
    lines = [_counted(len(found), "is", "are") + " parked, oldest first:"]
    for parked in found:
        lines += [f"  {_line(parked)}", f"    {parked.error}"]
    return "\n".join(lines)


def list_json(found: Sequence[Parked]) -> str:
    """The document."""
    return _document({"parked": [_facts(parked) for parked in found]})


def show_text(found: tuple[Parked, bytes | None]) -> str:
    """The item's facts, then the item as it was refused."""
    parked, image = found
    lines = [_line(parked), f"  {parked.error}", f"  parked by {parked.worker}"]
    if image is not None:
        lines.append(msgspec.json.format(image).decode())
    else:
        lines.append("  its image is no longer there" if parked.chunks else "  the change is a deletion")
    return "\n".join(lines)


def show_json(found: tuple[Parked, bytes | None]) -> str:
    """The document; `item` as the stream brought it, null for a deletion."""
    parked, image = found
    return _document({**_facts(parked), "item": msgspec.Raw(image) if image is not None else None})


def remaining(tried: Sequence[Tried]) -> list[Tried]:
    """Those that stay in the list."""
    return [one for one in tried if one.fate is not Fate.SETTLED]


def retry_text(tried: Sequence[Tried]) -> str:
    """A line for each that is left, and how many are."""
    left = remaining(tried)
    lines = []
    for one in left:
        lines += [f"  {_line(one.parked)}", f"    {_LEFT[one.fate]}{': ' + one.why if one.why else ''}"]
    settled = len(tried) - len(left)
    if not tried:
        return "Nothing is parked."
    lines.append(f"{_counted(settled, 'is', 'are')} settled, {len(left)} left." if left else _all_settled(settled))
    return "\n".join(lines)


def retry_json(tried: Sequence[Tried]) -> str:
    """The document."""
    left = [_facts(one.parked) | {"outcome": one.fate.value, "why": one.why} for one in remaining(tried)]
    settled = [one.parked.id for one in tried if one.fate is Fate.SETTLED]
    return _document({"settled": settled, "remaining": left})


def drop_text(found: tuple[Sequence[Parked], Sequence[Parked]]) -> str:
    """What was dropped, and what that means."""
    dropped, kept = found
    lines = [f"  {_line(parked)}" for parked in dropped]
    lines.append(
        f"{_counted(len(dropped), 'is', 'are')} forgotten, and may differ from the source until the next change: "
        "dynamirror verify finds them."
    )
    if kept:
        lines.append(f"{_counted(len(kept), 'was', 'were')} parked anew meanwhile; the list has what is parked.")
    return "\n".join(lines)


def drop_json(found: tuple[Sequence[Parked], Sequence[Parked]]) -> str:
    """The document."""
    dropped, kept = found
    return _document({"dropped": [_facts(parked) for parked in dropped], "parked_anew": [_facts(p) for p in kept]})


def _facts(parked: Parked) -> dict[str, Any]:
    """Names are part of the interface."""
    return {
        "id": parked.id,
        "key": parked.key,
        "sequence_number": parked.sequence_number or None,
        "time": _time(parked),
        "error": parked.error,
        "bytes": parked.size_bytes,
        "worker": parked.worker,
    }


def _line(parked: Parked) -> str:
    change = f"change {parked.sequence_number}" if parked.sequence_number else "of the copy"
    key = msgspec.json.encode(parked.key).decode()
    return f"{parked.id}  {key}  {change}  {_time(parked)}  {size_text(parked.size_bytes)}"


def _time(parked: Parked) -> str:
    return datetime.fromtimestamp(parked.at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _counted(number: int, one: str, many: str) -> str:
    return f"1 item {one}" if number == 1 else f"{number:,} items {many}"


def _all_settled(number: int) -> str:
    return f"{_counted(number, 'is', 'are')} settled; the destination has {'it' if number == 1 else 'them'}."


def _document(content: Mapping[str, Any]) -> str:
    return msgspec.json.format(msgspec.json.encode(content)).decode()
