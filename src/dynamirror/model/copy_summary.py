"""What is told of a copy at rest when its command ends."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dynamirror.errors import ExitCode
from dynamirror.model.copy import Copy, Phase, Segment
from dynamirror.model.copy_progress import Progress, named, progress, uneven
from dynamirror.model.progress_text import size_text, time_text


@dataclass(frozen=True, slots=True)
class Summary:
    """The copy as its rows had it. Counts are of all workers, and of all their runs."""

    # None: it was stopped before its row was read.
    copy: Copy | None
    counts: Progress
    # Segments whose counts do not add up.
    uneven: tuple[int, ...] = ()
    # From the beginning of the copy to its last segment's end, or to now; time in which no worker ran counts too.
    seconds: float = 0.0
    # It was over before this command began.
    earlier: bool = False
    # The destination has all that was left for later: indexes, time to live.
    finished: bool = True
    # Items that are parked now: the destination refused them, and nobody has tried again with success.
    parked: int = 0
    # From this command's start to its end, checks and waits included; 0: not measured.
    command_s: float = 0.0

    @property
    def over(self) -> bool:
        """All items are written, and nothing that was sent can land any more."""
        return self.copy is not None and self.copy.phase is Phase.OVER

    @property
    def exit_code(self) -> ExitCode:
        """0: the table is copied, its counts add up, and nothing is parked."""
        doubtful = bool(self.uneven) or bool(self.parked) or (self.copy is not None and self.copy.needs_verify)
        return ExitCode.OK if self.over and self.finished and not doubtful else ExitCode.DIFFERS

    @property
    def items_per_second(self) -> float:
        """Over the whole copy."""
        return self.counts.written / self.seconds if self.seconds > 0 else 0.0

    def line(self) -> str:
        """One line; where something is left to do, it says what."""
        if self.copy is None:
            return "stopped before this worker had copied anything: the same command goes on"
        if not self.over:
            return self._interrupted(self.copy)
        said = self._earlier() if self.earlier else self._now()
        if self.uneven:
            said += f"; but the counts of {named(list(self.uneven))} do not add up: compare the tables"
        elif self.copy.needs_verify:
            said += "; but its row says needsVerify: compare the tables"
        if self.parked:
            said += f"; {self.parked:,} items are parked, the destination refuses them: see `dynamirror parked list`"
        if not self.finished:
            said += "; the destination's indexes and time to live are not finished: the same command goes on with them"
        return said

    def as_json(self) -> dict[str, Any]:
        """The facts of `--json`; names are part of the interface."""
        counts = self.counts
        return {
            "over": self.over,
            "over_since": _iso(self.copy.done_ms)
            if self.over and self.copy is not None and self.copy.done_ms
            else None,
            "over_before": self.earlier,
            "destination_finished": self.over and self.finished,
            "items": counts.written,
            "read": counts.read,
            "written": counts.written,
            "parked": counts.parked,
            "parked_now": self.parked,
            "bytes": counts.size_bytes,
            "seconds": round(self.seconds, 1),
            "command_seconds": round(self.command_s, 1),
            "items_per_second": round(self.items_per_second, 1),
            "segments": counts.segments if self.copy is None else self.copy.segments,
            "segments_done": counts.done,
            "uneven_segments": list(self.uneven),
            "needs_verify": self.copy is not None and self.copy.needs_verify,
        }

    def _interrupted(self, copy: Copy) -> str:
        if copy.phase is Phase.DONE:
            return (
                f"stopped: all {self.counts.written:,} items are written, but what was sent last may still land; the "
                "same command waits until it cannot"
            )
        return (
            f"stopped: the copy is not finished, {self.counts.written:,} items and {self.counts.done} of "
            f"{copy.segments} segments are done; the same command goes on with it"
        )

    def _earlier(self) -> str:
        since = f" since {_iso(self.copy.done_ms)}" if self.copy is not None and self.copy.done_ms else ""
        items = f"{self.counts.written:,} items"
        return f"the copy of this task is over{since}: {items}; give another --task-name to copy again"

    def _now(self) -> str:
        counts = self.counts
        all_of_it = f"; this command took {time_text(self.command_s)} in all, with its checks and waits"
        return (
            f"the copy is over: {counts.written:,} items ({size_text(counts.size_bytes)}) in "
            f"{time_text(self.seconds)}, {self.items_per_second:,.0f} items/s; "
            f"read {counts.read:,}, written {counts.written:,}, parked {counts.parked:,}"
            f"{all_of_it if self.command_s else ''}"
        )


def summed(
    copy: Copy | None, segments: Sequence[Segment], now_ms: int, *, earlier: bool = False, finished: bool = True
) -> Summary:
    """The summary of these rows; `now_ms` is the wall clock's."""
    seconds = 0.0 if copy is None else max(0.0, ((copy.done_ms or now_ms) - copy.began_ms) / 1000)
    return Summary(copy, progress(segments, 0.0), tuple(uneven(segments)), seconds, earlier, finished)


def _iso(moment_ms: int) -> str:
    return datetime.fromtimestamp(moment_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
