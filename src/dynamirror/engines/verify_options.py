"""What a verify is asked for, and what it answers."""

from dataclasses import dataclass
from pathlib import Path

from dynamirror.errors import ExitCode
from dynamirror.model.verify import Found, Tally


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """Beside the settings of the connection."""

    repair: bool = False
    # Share of the segments that is read, and the seed that draws them; None: drawn too.
    share: float = 1.0
    seed: int | None = None
    # Only keys that the stream names since so long ago; None: whole tables.
    since_s: float | None = None
    # Pass after pass for so long; None: one.
    continuous_s: float | None = None
    strict_ttl: bool = False
    patience_s: float = 60.0
    report: Path | None = None


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """What was seen. `tally`: of the last pass, starts before a restart included."""

    tally: Tally
    passes: int
    # Differences that were not mended, of all passes.
    remaining: int
    # The first ones that this process has found.
    first: tuple[Found, ...]
    share: float
    seed: int
    spent_s: float
    resumed: bool
    # Items of the task that are parked now.
    parked: int = 0

    @property
    def exit_code(self) -> ExitCode:
        """0 equal, or mended; 1 differs."""
        return ExitCode.DIFFERS if self.remaining else ExitCode.OK
