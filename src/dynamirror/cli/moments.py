"""Moments and tables as the operator's commands print them."""

from datetime import UTC, datetime


def instant(at_ms: int) -> str:
    """A moment, to the second, UTC."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def table_of(arn: str) -> str:
    """Table and Region of a table's ARN."""
    parts = arn.split(":")
    return f"{arn.rpartition('/')[2]} ({parts[3]})" if len(parts) > 4 else arn
