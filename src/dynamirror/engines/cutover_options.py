"""What a cut-over is asked for, what it is given, and what it answers."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dynamirror.engines.verify_options import VerifyOptions, VerifyResult
from dynamirror.errors import ExitCode
from dynamirror.model.parked import Parked
from dynamirror.prove.stream_view import ViewTools

Compare = Literal["recent", "full", "none"]


@dataclass(frozen=True, slots=True)
class CutoverOptions:
    """Beside the settings of the connection."""

    max_lag_s: float = 5.0
    timeout_s: float = 600.0
    hook_before: str | None = None
    hook_after: str | None = None
    # The operator's word that nobody writes any more, where there is no terminal to ask at.
    writers_stopped: bool = False
    disable_stream: bool = False
    quiet_s: float = 30.0
    verify: Compare = "recent"
    since_s: float = 900.0
    # None: cutover-<task>-<time>.json in the working directory.
    report: Path | None = None
    dry_run: bool = False
    prepare_reverse: bool = False


@dataclass(frozen=True, slots=True)
class CutoverTools:
    """What a cut-over does to the world, and how it looks at it."""

    view: ViewTools
    # How many items wait to be reconciled.
    duties: Callable[[], Awaitable[int]]
    stream_arn: str
    # The stream was off when the cut-over began: there is no lag to wait for.
    stream_off: bool
    # The ARN of the source's stream, as it is now; None: it is off.
    stream_now: Callable[[], Awaitable[str | None]]
    switch_off: Callable[[], Awaitable[None]]
    switch_reverse_on: Callable[[], Awaitable[None]]
    compare: Callable[[VerifyOptions], Awaitable[VerifyResult]]
    # The task's parked items, as they are now.
    parked: Callable[[], Awaitable[Sequence[Parked]]]
    # How many gaps of the stream are open.
    gaps: Callable[[], Awaitable[int]]
    # Runs a shell command with variables beside the process's own; returns its exit code.
    hook: Callable[[str, Mapping[str, str]], Awaitable[int]]
    # Asks the operator; None: there is no terminal.
    ask: Callable[[str], Awaitable[bool]] | None
    write: Callable[[Path, str], None]


@dataclass(frozen=True, slots=True)
class CutoverResult:
    """The report, and what to end with."""

    document: Mapping[str, Any]
    # None: none was written (--dry-run).
    report: Path | None
    exit_code: ExitCode


def verified(result: VerifyResult, mode: Compare, since_s: float | None) -> dict[str, Any]:
    """What a comparison has found, for the report."""
    tally = result.tally
    return {
        "mode": mode,
        "since_ms": None if since_s is None else round(since_s * 1000),
        "keys": tally.suspects if since_s is not None else max(tally.source_items, tally.destination_items),
        "differing": result.remaining,
        "missing": tally.missing,
        "extra": tally.extra,
        "different": tally.different,
        "expired": tally.expired,
        "unsettled": tally.unsettled,
        "parked": result.parked,
        "first": [{"class": found.kind.value, "key": found.key, "path": found.path} for found in result.first],
    }


def would_do(options: CutoverOptions, *, stream_off: bool) -> list[str]:
    """The steps of a run after the lag, for --dry-run."""
    closing = options.disable_stream or stream_off
    window = "24 h" if stream_off else f"{options.since_s:g} s before the writers' stop"
    steps = [
        ("switch the destination's stream on", options.prepare_reverse),
        (f"call the hook: {options.hook_before}", options.hook_before is not None),
        ("ask whether all writers are stopped", options.hook_before is None and not options.writers_stopped),
        ("switch the source's stream off", options.disable_stream and not stream_off),
        ("wait until every shard is applied to its end (exact)", closing),
        (f"wait until nothing comes for {options.quiet_s:g} s (not exact)", not closing),
        (f"compare keys changed in the last {window}", options.verify == "recent"),
        ("compare the whole tables", options.verify == "full"),
        (f"call the hook: {options.hook_after}", options.hook_after is not None),
    ]
    return [what for what, applies in steps if applies]
