"""`--start-at`: where a task without leases begins."""

import re
from datetime import UTC, datetime

from dynamirror.errors import Refused
from dynamirror.model.lease import LATEST, LATEST_SLACK_MS, TRIM_HORIZON
from dynamirror.model.shard_graph import Start

# A start later than this beyond the local clock is a slip of the pen, not a clock that is off.
_CLOCK_SLACK_MS = 5 * 60 * 1000
# Twelve digits and more: seconds would lie beyond the year 5000, so they are milliseconds.
_MILLISECONDS_FROM = 10**11


def parsed_start(text: str, label: str, now_ms: int) -> Start:
    """The start that `text` names. `latest` is `now_ms`; a time without a zone is UTC. Raises Refused.

    A time long past is no error: the same command line restarts a task that has gone on since.
    """
    word = text.lower().replace("_", "-")
    if word == "trim-horizon":
        return Start(TRIM_HORIZON)
    if word == "latest":
        return Start(LATEST, now_ms - LATEST_SLACK_MS)
    at_ms = _time_ms(text)
    if at_ms is None:
        raise Refused(
            f"{label} {text}: give trim-horizon, latest, or a time as 2026-01-31T12:00:00Z or seconds since 1970"
        )
    if at_ms > now_ms + _CLOCK_SLACK_MS:
        raise Refused(f"{label} {text}: lies in the future")
    return Start(TRIM_HORIZON, at_ms)


def _time_ms(text: str) -> int | None:
    # Fewer digits would be a year or a date (20260131).
    if re.fullmatch(r"\d{9,13}(\.\d+)?", text, re.ASCII):
        number = float(text)
        return int(number if number >= _MILLISECONDS_FROM else number * 1000)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)
