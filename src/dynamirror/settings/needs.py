"""Flags that have an effect only beside others: one that stands alone is refused, not ignored."""

from collections.abc import Mapping

from dynamirror.errors import Refused
from dynamirror.settings.flags import FLAG_OF_FIELD
from dynamirror.settings.values import Value

# By field: which others have to be on.
NEEDS: Mapping[str, tuple[str, ...]] = {
    "segments": ("copy",),
    "allow_non_empty": ("copy",),
    "destination_settings": ("create_destination",),
    "indexes_after_copy": ("create_destination", "copy"),
}


def refuse_alone(given: Mapping[str, Value]) -> None:
    """`given`: what was typed, or set as a variable, by field. A switch that is off counts as not given."""
    for field, needed in NEEDS.items():
        missing = [FLAG_OF_FIELD[other].name for other in needed if given.get(other) is not True]
        if missing and given.get(field) not in (None, False):
            flag = FLAG_OF_FIELD[field]
            others = " and ".join(missing)
            raise Refused(
                f"{flag.name} (or {flag.variable}) does nothing without {others}: give {others} too, or leave it out"
            )
