"""What a flag is, and the headings that flags stand under in help."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "int", "duration", "switch", "choice", "path"]


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag. `field` names it: `--` and dashes make the flag, `DYNAMIRROR_` and capitals its variable."""

    field: str
    heading: str
    help: str
    kind: Kind = "text"
    # What the value is called in help; empty for a switch.
    metavar: str = ""
    # The Java tool's spellings, case as there.
    java: tuple[str, ...] = ()
    # As it would be typed; None where there is none or where `derived` tells.
    default: str | None = None
    # In words, where the default depends on other flags.
    derived: str = ""
    required: bool = False
    # Inclusive; in the unit of the field's name, durations in seconds.
    least: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Our spelling."""
        return "--" + self.field.replace("_", "-")

    @property
    def variable(self) -> str:
        """The environment variable that stands in when the flag is not given."""
        return "DYNAMIRROR_" + self.field.upper()

    @property
    def limits(self) -> str:
        """The limits in words; empty when there are none."""
        if self.least is None or self.most is None:
            return ""
        unit = "s" if self.kind == "duration" else ""
        return f"{self.least:g}{unit} to {self.most:.0f}{unit}"

    @property
    def spellings(self) -> tuple[str, ...]:
        """All names that the command line takes, ours first."""
        return (self.name, *self.java)


SOURCE = "Source"
DESTINATION = "Destination"
TASK = "Task and leases"
READING = "Reading"
ORDER = "Order under faults"
COPY = "Copy"
RATE = "Rate"
CHECKS = "Checks before the start"
REPORTS = "Logs and metrics"
