"""What follows where a worker process ended, what all end with, and whether they are healthy."""

import signal

import pytest

from dynamirror.errors import ExitCode
from dynamirror.model.health import Problem
from dynamirror.model.processes import (
    AGAIN_MOST_S,
    STEADY_S,
    Again,
    Ended,
    Over,
    Seen,
    Told,
    after,
    at_stop,
    ended_with,
    health_of,
    words_without,
    worst,
)


@pytest.mark.parametrize("code", [-signal.SIGKILL, -signal.SIGSEGV, -signal.SIGTERM, ExitCode.INTERNAL])
@pytest.mark.parametrize("started", [False, True])
@pytest.mark.parametrize("others", [False, True])
def test_a_signal_and_an_internal_error_are_one_processs_own(code: int, started: bool, others: bool) -> None:
    assert after(Ended(code, 1.0, started), 0, others) == Again(1.0, 1)


@pytest.mark.parametrize("code", [0, 1, 2, 3, 4, 5, 6, 7, 130])
@pytest.mark.parametrize("others", [False, True])
def test_another_reason_of_one_that_followed_is_everybodys(code: int, others: bool) -> None:
    assert after(Ended(code, 100.0, started=True), 3, others) == Over(code)


@pytest.mark.parametrize("code", [0, 1, 2, 3, 4, 5, 6, 7, 130])
@pytest.mark.parametrize("others", [False, True])
def test_a_table_out_of_reach_during_a_start_is_not_while_others_reach_it(code: int, others: bool) -> None:
    follows = after(Ended(code, 1.0, started=False), 0, others)
    assert follows == (Again(1.0, 1) if others and code in (3, 4, 5) else Over(code))


def test_the_wait_grows_to_half_a_minute_and_is_short_again_after_a_steady_run() -> None:
    waits, failures = [], 0
    for _ in range(7):
        follows = after(Ended(-9, STEADY_S - 1, started=True), failures, others=True)
        assert isinstance(follows, Again)
        waits.append(follows.after_s)
        failures = follows.failures
    assert waits == [1, 2, 4, 8, 16, AGAIN_MOST_S, AGAIN_MOST_S]
    assert after(Ended(-9, STEADY_S, started=True), failures, others=True) == Again(1.0, 1)
    assert after(Ended(-9, 0.0, started=True), 10**6, others=True) == Again(AGAIN_MOST_S, 10**6 + 1)


@pytest.mark.parametrize(
    "code,started,counts",
    [
        (0, True, 0),
        (6, True, 6),
        (1, True, 1),
        (-signal.SIGTERM, False, 0),
        (-signal.SIGINT, False, 0),
        (-signal.SIGTERM, True, 70),
        (-signal.SIGKILL, False, 70),
        (-signal.SIGKILL, True, 70),
    ],
)
def test_what_counts_of_one_that_was_asked_to_end(code: int, started: bool, counts: int) -> None:
    assert at_stop(code, started) == counts


def test_the_worst_of_all_is_what_they_end_with() -> None:
    assert worst([]) == 0
    assert worst([0, 6, 1]) == 6
    assert worst([0, 70, 6]) == 70


def test_an_end_is_told_in_words() -> None:
    assert ended_with(4) == "exit code 4"
    assert ended_with(-9) == "signal 9 (SIGKILL)"
    assert ended_with(-63) == "signal 63 (unknown)"


def test_all_are_healthy_when_each_is() -> None:
    well = Told(started=True, problems=[])
    assert health_of([Seen(1, well), Seen(2, well)]) == []


def test_what_has_not_begun_yet_is_no_problem_and_not_healthy_either() -> None:
    well = Told(started=True, problems=[])
    assert health_of([Seen(1, well), Seen(2, None)]) is None
    assert health_of([Seen(1, well), Seen(2, Told(started=False))]) is None


def test_each_problem_says_whose_it_is() -> None:
    ill = Told(started=True, problems=[("shard-1", "no page was read"), ("", "no heartbeat")])
    assert health_of([Seen(1, None), Seen(2, ill), Seen(3, None, "ended"), Seen(4, ill, "was started again")]) == [
        Problem("shard-1", "process 2: no page was read"),
        Problem("", "process 2: no heartbeat"),
        Problem("", "process 3: ended"),
        Problem("", "process 4: was started again"),
    ]


@pytest.mark.parametrize(
    "words,kept",
    [
        ("replicate --processes 3 --copy --http 127.0.0.1:1 --task-name x", "replicate --copy --task-name x"),
        ("--processes=3 --sourceTable T --http=a:1", "--sourceTable T"),
        ("replicate --processes 2 --processes 2", "replicate"),
        ("replicate --task-name=--http --log-dir http", "replicate --task-name=--http --log-dir http"),
        ("", ""),
    ],
)
def test_flags_are_left_out_with_their_values(words: str, kept: str) -> None:
    assert words_without(words.split(), ["--processes", "--http"]) == kept.split()
