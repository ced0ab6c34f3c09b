"""Copies a DynamoDB table to another Region or account, keeps the copy in step, and proves that both are equal."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Replication", "TableCopy", "__version__", "replication_settings"]

if TYPE_CHECKING:
    from dynamirror.engines.library import Replication, replication_settings
    from dynamirror.engines.table_copy import TableCopy


def __getattr__(name: str) -> Any:
    """Import the library only when it is used, so that `dynamirror --help` starts at once."""
    if name in ("Replication", "replication_settings"):
        from dynamirror.engines import library

        return getattr(library, name)
    if name == "TableCopy":
        from dynamirror.engines.table_copy import TableCopy

        return TableCopy
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
