"""What a chaos run is asked for, and what came of it."""

from collections import Counter
from dataclasses import dataclass, field
from statistics import median

ROOTS = 4
# On average from one kill to the next, the restart included.
KILL_EVERY_S = 9.0
CHANGES_PER_S_MAX = 700.0
# What the rates of chaos_faults come to, about.
FAULTS_PER_S = 3.3
# Late writes land up to 20 s after they were sent. The workers are told so: it is the edge that is tested.
STRAY_LIFE = "20s"
# A shard's end waits 25 s after a doubt or an unclean start, and its child waits for that: a lineage that has fallen
# behind catches up one generation after the other.
SETTLE_S = 90.0
GENERATION_S = 30.0
# Equal tables must still be equal after so long: what is in doubt, and any second sending, is over by then.
STAY_S = 30.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is made of; the least of each."""

    seed: int
    changes: int = 20_000
    faults: int = 200
    kills: int = 5
    closed: int = 12
    freezes: int = 0
    late_writes: bool = True
    # More flags of `dynamirror replicate`; the last of a kind counts.
    worker_flags: tuple[str, ...] = ()

    @property
    def planned_s(self) -> float:
        """How long the traffic goes on."""
        violence_s = 20.0 + (self.kills + self.freezes) * KILL_EVERY_S
        return max(violence_s, self.changes / CHANGES_PER_S_MAX, self.faults / FAULTS_PER_S)

    @property
    def settle_s_max(self) -> float:
        """How long after the last change the tables may differ."""
        return SETTLE_S + GENERATION_S * self.closed / ROOTS + STAY_S


@dataclass(slots=True)
class Result:
    """What has happened, and how it ended."""

    plan: Plan
    changes: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    requests: dict[str, int] = field(default_factory=dict)
    kills: int = 0
    freezes: int = 0
    # Exit codes of workers that ended by themselves, with their last words.
    quits: list[tuple[int, str]] = field(default_factory=list)
    # Workers that gave up before they replicated: a start has little patience with what is out of reach.
    failed_starts: list[str] = field(default_factory=list)
    shards: Counter[str] = field(default_factory=Counter)
    items: int = 0
    differences: list[str] = field(default_factory=list)
    lags_s: list[float] = field(default_factory=list)
    traffic_s: float = 0.0
    # After the last change; None: the tables never were equal, or did not stay so.
    settled_s: float | None = None
    # Of the workers at the end, after SIGTERM.
    exit_codes: list[int] = field(default_factory=list)

    @property
    def struck(self) -> int:
        """Faults by lot: a partition's refusals are not counted."""
        return sum(count for kind, count in self.faults.items() if kind != "partition")

    @property
    def enough(self) -> bool:
        """As much has happened as the plan asks for."""
        plan = self.plan
        asked = (plan.changes, plan.faults, plan.kills, plan.closed, plan.freezes)
        done = (self.changes, self.struck, self.kills, self.shards["closed"], self.freezes)
        return all(one >= other for one, other in zip(done, asked, strict=True))

    @property
    def good(self) -> bool:
        """Equal, nothing else wrong, and enough has happened."""
        well = not self.differences and not self.quits and not any(self.exit_codes)
        return well and self.enough and self.settled_s is not None

    def __str__(self) -> str:
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(self.faults.items()))
        lines = [
            f"seed                {self.plan.seed}{'' if self.plan.late_writes else ', no late writes'}",
            f"changes applied     {self.changes} over {self.items} items in {self.traffic_s:.0f} s",
            f"faults injected     {self.struck} and partitions: {kinds}",
            f"requests            {', '.join(f'{name} {count}' for name, count in self.requests.items())}",
            f"restarts            {self.kills} after kill -9; frozen {self.freezes} times",
            f"starts given up     {len(self.failed_starts)}",
            *(f"  {line.strip()}" for line in self.failed_starts),
            f"shards              {', '.join(f'{name} {count}' for name, count in sorted(self.shards.items()))}",
            *(
                [f"worst lag           {max(self.lags_s):.1f} s, median {median(self.lags_s):.1f} s"]
                if self.lags_s
                else []
            ),
            "equal               never for long"
            if self.settled_s is None
            else f"equal               {self.settled_s:.1f} s after the last change, and still {STAY_S:.0f} s later",
            f"differences         {len(self.differences)}",
            *(f"  {line}" for line in self.differences[:20]),
            *(f"worker ended by itself with {code}:\n{words}" for code, words in self.quits),
        ]
        if any(self.exit_codes):
            lines.append(f"exit codes          {self.exit_codes}")
        if not self.enough:
            lines.append(f"not enough happened: {self.plan}")
        return "\n".join(lines)
