"""What `dynamirror pause`, `resume` and `set-rate` print."""

from typing import Any

from dynamirror.cli.moments import instant
from dynamirror.engines.give_orders import Given
from dynamirror.model.orders import Ordered, RateOrder, lost_from_ms, order_text
from dynamirror.model.progress_text import time_text
from dynamirror.model.status_warnings import deaf

OBEYED = "Workers obey within about 5 s; dynamirror status shows it."


def pause_text(given: Given) -> str:
    """Since when, by whom, and until when."""
    now = given.now
    begun = "Paused" if given.changed else "Paused already"
    left_s = max(0, lost_ms(given) - given.status.seen.at_ms) / 1000
    paused = (
        f"{begun}, since {instant(now.paused_at_ms)} by {now.paused_by}: nothing is read or copied until dynamirror "
        "resume; leases are kept, and what was on its way is written."
    )
    before = (
        f"The stream keeps changes for 24 h: resume before {instant(lost_ms(given))} ({time_text(left_s)} left), or "
        "changes are lost."
    )
    return "\n".join([paused, *_obeyed(given), before])


def lost_ms(given: Given) -> int:
    """From when on changes are lost if it stays paused."""
    return given.status.lost_from_ms or lost_from_ms(given.now.paused_at_ms or given.status.seen.at_ms)


def resume_text(given: Given) -> str:
    """How long it was paused."""
    if not given.changed:
        return "It is not paused; nothing was changed."
    paused_s = max(0, given.now.ordered_at_ms - given.before.paused_at_ms) / 1000
    return f"Resumed, after {time_text(paused_s)}. {OBEYED}"


def rate_text(given: Given) -> str:
    """Both limits as they are now."""
    begun = "Ordered" if given.changed else "In force already"
    read, write = _limit_text(given.now.read), _limit_text(given.now.write)
    limits = f"{begun}, for all workers of the task together: read {read}, write {write}."
    return "\n".join([limits, *_obeyed(given)])


def _obeyed(given: Given) -> list[str]:
    return [*([OBEYED] if given.changed else []), *deaf(given.status)]


def _limit_text(ordered: Ordered) -> str:
    if isinstance(ordered, RateOrder):
        return {RateOrder.DEFAULT: "as the workers' own flags say", RateOrder.NONE: "without limit"}[ordered]
    return f"at most {order_text(ordered)}" + ("" if ordered.percent is not None else " units/s")


def orders_json(given: Given) -> dict[str, Any]:
    """The document."""
    now = given.now
    return {
        "changed": given.changed,
        "count": now.counter,
        "paused": now.paused,
        "paused_at_ms": now.paused_at_ms or None,
        "paused_by": now.paused_by or None,
        "changes_lost_from_ms": lost_ms(given) if now.paused else None,
        "read_rate": order_text(now.read),
        "write_rate": order_text(now.write),
        "obeyed_not_by": [worker.worker for worker in given.status.deaf],
    }
