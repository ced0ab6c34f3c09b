"""`--processes`: a number, or one a core."""

import pytest

from dynamirror.engines.library import replication_settings
from dynamirror.errors import Refused
from dynamirror.settings.processes import PROCESSES_MAX, processes_on
from tests.unit.settings.test_parse import PAIR, parsed


@pytest.mark.parametrize(
    "text,cores,count", [("1", 8, 1), ("3", 1, 3), ("auto", 8, 8), ("AUTO", 1, 1), ("auto", 999, PROCESSES_MAX)]
)
def test_how_many_there_are(text: str, cores: int, count: int) -> None:
    assert processes_on(cores, parsed(processes=text).processes) == count


def test_one_is_the_default() -> None:
    assert processes_on(8, parsed().processes) == 1


@pytest.mark.parametrize("text", ["0", "65", "-1", "1.5", "many", "\u0663", "9" * 30])
def test_what_is_no_number_of_processes_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(Refused, match=r"^--processes \S+: give 1 to 64, or auto for one a core$"):
        parsed(processes=text)


def test_a_program_is_one_worker() -> None:
    with pytest.raises(Refused, match=r"^processes: "):
        replication_settings(**PAIR, processes="2")
