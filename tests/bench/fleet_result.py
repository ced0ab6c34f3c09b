"""What a run of the fleet chaos is asked for, and what came of it."""

from collections import Counter
from dataclasses import dataclass, field

LEASE_S = 10.0
# T + the life of a proof + drift, beside the stray life: what a second sending waits for after an unclean start.
SENDING_S = 7.0
# What a fleet has to catch up with, on a machine that does other things too.
CATCH_UP_S = 20.0
# A change of hands that is not clean puts the end of a shard off, and its child waits for it.
GENERATION_S = 30.0
# After quiet: leases that nobody may give away yet (C-4), and then one round of asking after the other.
BALANCE_S_MAX = 90.0


@dataclass(frozen=True, slots=True)
class FleetPlan:
    """What a run is made of."""

    seed: int
    storm_s: float = 120.0
    workers: int = 4
    shards: int = 64
    changes_per_s: float = 120.0
    roll_every_s: float = 2.0
    stray_life_s: float = 10.0
    # At least so many of each; the lot decides what comes when.
    kills: int = 6
    freezes: int = 4
    stops: int = 6
    closed: int = 40

    @property
    def rest_s(self) -> float:
        """So long at most an older image may stand over a newer one: a frozen owner's last write, seen to by the second
        sending of the next owner; or, where that one is killed before, by the start of the one after it."""
        return self.stray_life_s + SENDING_S + LEASE_S + CATCH_UP_S

    @property
    def settle_s_max(self) -> float:
        """How long after the last change the tables may differ."""
        return self.rest_s + GENERATION_S * (1 + self.closed // self.shards) + self.stay_s

    @property
    def stay_s(self) -> float:
        """Equal tables must still be equal after so long."""
        return self.stray_life_s + SENDING_S


@dataclass(slots=True)
class FleetResult:
    """What has happened, and how it ended."""

    plan: FleetPlan
    acts: Counter[str] = field(default_factory=Counter)
    changes: int = 0
    shards: Counter[str] = field(default_factory=Counter)
    # Shards that more than one process has read.
    handed_on: int = 0
    # Events of the workers' logs, such as lease_handed_over.
    events: Counter[str] = field(default_factory=Counter)
    # What was found wrong, a line each.
    faults: list[str] = field(default_factory=list)
    readers_at_once_max: int = 0
    # What the judge of older images has seen: puts at the destination, and readings of it.
    puts: int = 0
    readings: int = 0
    older_times: int = 0
    older_longest_s: float = 0.0
    older_longest: str = ""
    items: int = 0
    differences: list[str] = field(default_factory=list)
    # After the last change; None: never, or not for long.
    settled_s: float | None = None
    balanced_s: float | None = None
    # Shards that are not finished, by worker, at the end.
    spread: dict[str, int] = field(default_factory=dict)
    # How long each orderly stop took.
    stops_s: list[float] = field(default_factory=list)

    @property
    def missing(self) -> list[str]:
        """What the plan asked for and did not happen."""
        plan = self.plan
        wanted = {"kill": plan.kills, "freeze": plan.freezes, "stop": plan.stops}
        found = [f"{self.acts[act]} of {least} {act}s" for act, least in wanted.items() if self.acts[act] < least]
        if self.puts < self.changes / 2 or self.readings < plan.storm_s / 10:
            found.append(f"only {self.puts} puts and {self.readings} readings were seen at the destination")
        if self.shards["closed"] < plan.closed:
            found.append(f"{self.shards['closed']} of {plan.closed} ended shards")
        return found

    @property
    def wrong(self) -> list[str]:
        """Each thing that must not be, a line each."""
        found = [*self.faults, *self.differences]
        if self.older_longest_s > self.plan.rest_s:
            found.append(f"an older image rested over a newer one: {self.older_longest}")
        if self.settled_s is None:
            found.append("the tables were never equal for long")
        if self.balanced_s is None:
            found.append(f"the leases are not spread within one: {self.spread}")
        return found

    @property
    def good(self) -> bool:
        """Nothing is wrong, and enough has happened."""
        return not self.wrong and not self.missing

    def __str__(self) -> str:
        def after(seconds: float | None) -> str:
            return "never" if seconds is None else f"{seconds:.0f} s after the last change"

        lines = [
            f"seed                {self.plan.seed}",
            f"changes             {self.changes} over {self.items} items",
            f"acts                {_counted(self.acts)}",
            f"shards              {_counted(self.shards)}; {self.handed_on} read by more than one process",
            f"workers' events     {_counted(self.events)}",
            f"readers at once     {self.readers_at_once_max}",
            f"at the destination  {self.puts} puts seen, {self.readings} readings",
            f"older over newer    {self.older_times} times, at most {self.older_longest_s:.1f} s {self.older_longest}",
            f"orderly stops       at most {max(self.stops_s, default=0):.1f} s",
            f"equal               {after(self.settled_s)}",
            f"leases              {self.spread}, within one {after(self.balanced_s)}",
            *(f"WRONG: {line}" for line in self.wrong[:30]),
            *(f"not enough happened: {line}" for line in self.missing),
        ]
        return "\n".join(lines)


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
