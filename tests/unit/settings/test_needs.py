"""Flags that do nothing without others are refused, in either form of the command line, and as variables."""

import pytest

from dynamirror.errors import ExitCode, Refused
from dynamirror.settings.flags import FLAG_OF_FIELD
from dynamirror.settings.needs import NEEDS
from dynamirror.settings.parse import settings_from, values_of_variables
from tests.unit.settings.test_parse import EFFECTS, NOW_MS, PAIR, parsed


@pytest.mark.parametrize("field", NEEDS)
@pytest.mark.parametrize("java_form", [False, True])
def test_one_alone_is_refused_in_one_line(field: str, java_form: bool) -> None:
    flag, text = FLAG_OF_FIELD[field], EFFECTS[field][0]
    others = " and ".join(FLAG_OF_FIELD[other].name for other in NEEDS[field])
    for given in ({field: text}, values_of_variables({flag.variable: text})):
        with pytest.raises(Refused) as refused:
            settings_from({**PAIR, **given}, java_form, now_ms=NOW_MS)
        assert refused.value.exit_code == ExitCode.USAGE
        line = f"{flag.name} (or {flag.variable}) does nothing without {others}: give {others} too, or leave it out"
        assert str(refused.value) == line


def test_a_switch_that_is_off_and_a_default_need_nothing() -> None:
    assert not parsed(allow_non_empty="false", indexes_after_copy=False).copy.allow_non_empty
    assert parsed().copy.segments == 64


def test_only_what_is_missing_is_named() -> None:
    with pytest.raises(Refused, match=r"^--indexes-after-copy .* does nothing without --copy: "):
        parsed(indexes_after_copy=True, create_destination=True)
