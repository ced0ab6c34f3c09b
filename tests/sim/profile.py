"""What may happen in a run."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from random import Random

from dynamirror.settings.bounds import least_hold_s
from dynamirror.settings.groups import CopySettings, HoldSettings, LeaseSettings, ReadSettings, WriteSettings


@dataclass(frozen=True, slots=True)
class Fleet:
    """How the workers of a run are set up."""

    write: WriteSettings = field(default_factory=WriteSettings)
    read: ReadSettings = field(default_factory=ReadSettings)
    hold: HoldSettings = field(default_factory=HoldSettings)
    # None: the table is not copied.
    copy: CopySettings | None = None
    # Share of the workers that have no rights to a state table: their lease rows speak for them.
    without_state: float = 0.0
    # Reads of the lease table that are not consistent lag behind by so much at most.
    stale_s: float = 0.0
    lease: LeaseSettings = field(default_factory=LeaseSettings)
    # --stray-life, one drawn for each worker, with the least hold that goes with it; none: as `write` and `hold` say.
    strays_s: tuple[float, ...] = ()

    def of_one(self, draw: Random) -> "Fleet":
        """How one worker of it is set up."""
        if not self.strays_s:
            return self
        write = replace(self.write, stray_life_s=draw.choice(self.strays_s))
        least_s = least_hold_s(self.copy or CopySettings(), write)
        return replace(self, write=write, hold=replace(self.hold, hold_s=least_s + 0.1))


@dataclass(frozen=True, slots=True)
class Service:
    """How the source's service is."""

    # So long a change can be read; None: a day.
    retention_s: float | None = None
    # Time stamps of changes are rounded down to so many seconds.
    rounding_s: int = 1
    # The table gives a page of a Scan so often at most, but for some that were saved up; the answer is so long on its
    # way.
    scan_every_s: float = 0.0
    scan_takes_s: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Profile:
    """What may happen in a run, as chances of a turn; `share`: of the calls that fail."""

    turns: int = 60
    # How long a turn takes, on average.
    turn_s: float = 1.0
    # The copy ends the turns, or so much time after them.
    until_copied: bool = False
    copied_max_s: float = 400.0
    # The application writes for so long before there is any worker.
    before_s: float = 0.0
    # Changes of a turn: one figure is drawn.
    load: tuple[int, ...] = (0, 1, 3, 10, 40)
    share: float = 0.08
    # One is drawn for the run.
    share_factors: tuple[float, ...] = (0.0, 0.5, 1.0, 2.0)
    # Calls to these fail (None: to all), in ways of these weights (None: as network.KINDS says).
    places: frozenset[str] | None = None
    kinds: Mapping[str, float] | None = None
    # What lands late does so after this part of the time that it may take at least.
    late_from: float = 0.0
    keys: int = 40
    roll: float = 0.05
    split: float = 0.02
    kill: float = 0.05
    # So many of the kills strike at the moment a request leaves, which then lands late or never.
    kill_at_send: float = 0.4
    stop: float = 0.04
    start: float = 0.15
    freeze: float = 0.05
    freezes_s: tuple[float, ...] = (2.0, 9.0, 15.0, 40.0, 70.0)
    # So many of the freezes strike at the moment such a request leaves, or ("... done") before its answer is heard.
    at_send: float = 0.3
    sends: tuple[str, ...] = ("BatchWriteItem",)
    partition: float = 0.04
    partitions_s: tuple[float, ...] = (2.0, 8.0, 30.0)
    # From what; each but the first two is a part of the state side.
    partitions: tuple[str, ...] = ("source", "destination", "state", "leases", "leases writes", "heartbeats")
    step_clock: float = 0.02
    # The date of a machine may be off by so much.
    date_off_s: float = 30.0
    hide: float = 0.04
    empty: float = 0.05
    # Other applications read a shard too.
    crowd: float = 0.02
    # Partitions of the destination take few writes for a while.
    meter: float = 0.03
    # All machines sleep for longer than iterators live.
    night: float = 0.002
    workers_max: int = 3
    # Workers of the Java tool, with this fail-over time; none: 0.
    javas_max: int = 0
    java_failover_s: float = 15.0
    # There before the stream was switched on.
    items: int = 0
    # So many of the items are refused by the destination, each until its next change.
    bad: float = 0.0
    # No row of a parked item may be left over: nothing that parks or un-parks is lost, or late.
    rows_exact: bool = False
    # The destination has already what the source had long before the first worker, once the application had begun.
    seeded: float = 0.0
    # None: drawn; values repeat (toggles) or are all different.
    repeats: bool | None = None
    # None: drawn.
    fleet: Fleet | None = None
    # One is drawn.
    fleets: tuple[Fleet, ...] = ()
    service: Service = field(default_factory=Service)


SMALL = Fleet(
    WriteSettings(requests_in_flight_max=2, queue_bytes_max=1500, resend_bytes_max=700), ReadSettings(batch_size=20)
)


def drawn_fleet(draw: Random) -> Fleet:
    """Most fleets are as the defaults make them."""
    stale_s = draw.choice([0.0, 0.9])
    sort = draw.random()
    if sort < 0.12:
        return replace(SMALL, stale_s=stale_s)
    if sort < 0.22:
        return Fleet(WriteSettings(cautious=True), stale_s=stale_s)
    if sort < 0.37:
        return Fleet(without_state=draw.choice([0.5, 1.0]), stale_s=stale_s)
    return Fleet(stale_s=stale_s)


def drawn_profile(seed: int) -> Profile:
    """Some applications write items that the destination refuses."""
    return Profile(bad=Random(f"bad {seed}").choice([0.0, 0.0, 0.0, 0.02, 0.2]))


def with_copy(fleet: Fleet, draw: Random) -> Fleet:
    """Some tables are copied too, unless there are workers that cannot know of it."""
    if fleet.without_state or draw.random() >= 0.25:
        return fleet
    pages = draw.choice([(2, 4), (5, 20), (50, 100)])
    return replace(
        fleet,
        copy=CopySettings(
            segments=draw.choice([1, 4, 9]), segments_at_once=2, page_items_first=pages[0], page_items_max=pages[1]
        ),
    )
