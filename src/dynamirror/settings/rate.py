"""`--max-read-rate` and `--max-write-rate`: units a second, or a share of what the table can do; of `set-rate` also
words."""

import re

from dynamirror.errors import Refused
from dynamirror.model.orders import Ordered, RateOrder
from dynamirror.model.rate import Limit

_NUMBER = re.compile(r"(\d+(?:\.\d+)?)(\s?%)?", re.ASCII)


def parsed_rate(text: str, label: str) -> Limit:
    """The limit that `text` names. Raises Refused."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise Refused(f"{label} {text}: give units a second, as 500, or a share of the table's capacity, as 50%")
    number = float(match[1])
    if not number:
        raise Refused(f"{label} {text}: must be more than 0")
    if match[2] is None:
        return Limit(units_s=number)
    if number > 100:
        raise Refused(f"{label} {text}: at most 100%; more than the table's capacity is given in units a second")
    return Limit(percent=number)


def parsed_order(text: str, label: str) -> Ordered:
    """The order that `text` gives: a limit, `none` to lift it, `default` for the workers' own flags. Raises Refused."""
    try:
        return RateOrder(text.lower())
    except ValueError:
        return parsed_rate(text, label)
