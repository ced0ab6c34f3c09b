"""What is told of a copy at rest when its command ends."""

from dataclasses import replace

from dynamirror.errors import ExitCode
from dynamirror.model.copy import Copy, Phase, Segment
from dynamirror.model.copy_summary import summed

BEGAN_MS = 1_700_000_000_000
COPYING = Copy(Phase.COPYING, 2, BEGAN_MS, True)
OVER = COPYING.finished(BEGAN_MS + 10_000, counted_out=True).moved(Phase.OVER)
ROWS = [
    Segment(0, done=True, read=600, written=600, size_bytes=600_000),
    Segment(1, done=True, read=1400, written=1399, parked=1, size_bytes=1_400_000),
]


def test_a_copy_that_is_over_has_its_sums_and_its_pace() -> None:
    # Of the wait after the last item nothing is counted.
    summary = summed(OVER, ROWS, BEGAN_MS + 60_000)
    assert summary.exit_code is ExitCode.OK
    assert summary.line() == (
        "the copy is over: 1,999 items (2.0 MB) in 10 s, 200 items/s; read 2,000, written 1,999, parked 1"
    )
    told = summary.as_json()
    assert (told["over"], told["over_before"], told["items"], told["bytes"]) == (True, False, 1999, 2_000_000)
    assert (told["seconds"], told["items_per_second"], told["uneven_segments"]) == (10.0, 199.9, [])
    assert told["over_since"] == "2023-11-14T22:13:30Z"


def test_what_the_command_waited_for_before_and_after_is_told_beside_the_copys_own_time() -> None:
    """Whether anybody follows the task takes 21 s to see, and what was sent last half a minute to land."""
    summary = replace(summed(OVER, ROWS, BEGAN_MS + 60_000), command_s=80.4)
    assert " in 10 s, 200 items/s; " in summary.line()
    assert summary.line().endswith("; this command took 80 s in all, with its checks and waits")
    assert (summary.as_json()["seconds"], summary.as_json()["command_seconds"]) == (10.0, 80.4)
    assert summed(OVER, ROWS, BEGAN_MS).as_json()["command_seconds"] == 0.0


def test_one_that_was_over_before_says_since_when_and_what_to_do() -> None:
    summary = summed(OVER, ROWS, BEGAN_MS + 10**9, earlier=True)
    assert summary.exit_code is ExitCode.OK
    assert summary.line() == (
        "the copy of this task is over since 2023-11-14T22:13:30Z: 1,999 items; give another --task-name to copy again"
    )
    assert summary.as_json()["over_before"]


def test_segments_whose_counts_do_not_add_up_are_named() -> None:
    rows = [replace(ROWS[0], read=601), replace(ROWS[1], read=1399)]
    for earlier in (False, True):
        summary = summed(OVER, rows, BEGAN_MS, earlier=earlier)
        assert summary.exit_code is ExitCode.DIFFERS
        assert summary.line().endswith("; but the counts of segments 0, 1 do not add up: compare the tables")
        assert summary.as_json()["uneven_segments"] == [0, 1]


def test_a_doubt_that_is_remembered_is_told_too() -> None:
    summary = summed(OVER.doubted(), ROWS, BEGAN_MS)
    assert summary.exit_code is ExitCode.DIFFERS
    assert "its row says needsVerify: compare the tables" in summary.line()


def test_what_is_parked_now_is_told_and_is_no_success() -> None:
    summary = replace(summed(OVER, ROWS, BEGAN_MS), parked=1)
    assert summary.exit_code is ExitCode.DIFFERS
    assert "; 1 items are parked, the destination refuses them: see `dynamirror parked list`" in summary.line()
    assert (summary.as_json()["parked"], summary.as_json()["parked_now"]) == (1, 1)


def test_one_that_was_stopped_says_how_to_go_on() -> None:
    stopped = summed(COPYING, [ROWS[0], Segment(1)], BEGAN_MS + 5_000)
    settling = summed(COPYING.finished(BEGAN_MS + 10_000, counted_out=True), ROWS, BEGAN_MS + 20_000)
    early = summed(None, [], BEGAN_MS)
    unfinished = summed(OVER, ROWS, BEGAN_MS, finished=False)
    for summary, said in [
        (
            stopped,
            "stopped: the copy is not finished, 600 items and 1 of 2 segments are done; the same command goes on",
        ),
        (
            settling,
            "stopped: all 1,999 items are written, but what was sent last may still land; the same command waits",
        ),
        (early, "stopped before this worker had copied anything: the same command goes on"),
        (unfinished, "the destination's indexes and time to live are not finished: the same command goes on with them"),
    ]:
        assert summary.exit_code is ExitCode.DIFFERS
        assert said in summary.line()
        assert not (summary.over and summary.finished)
    assert stopped.seconds == 5.0
    assert early.as_json()["over_since"] is None
