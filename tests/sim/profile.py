"""What may happen in a run."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from random import Random

from dynamirror.settings.groups import CopySettings, HoldSettings, ReadSettings, WriteSettings


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


@dataclass(frozen=True, slots=True)
class Profile:
    """What may happen in a run, as chances of a turn (of about a second); `share`: of the calls that fail."""

    turns: int = 60
    share: float = 0.08
    # One is drawn for the run.
    share_factors: tuple[float, ...] = (0.0, 0.5, 1.0, 2.0)
    # Calls to these fail (None: to all), in ways of these weights (None: as network.KINDS says).
    places: frozenset[str] | None = None
    kinds: Mapping[str, float] | None = None
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
    # So many of the freezes strike at the moment a batch leaves.
    at_send: float = 0.3
    partition: float = 0.04
    # From what; each but the first two is a part of the state side.
    partitions: tuple[str, ...] = ("source", "destination", "state", "leases", "leases writes", "heartbeats")
    step_clock: float = 0.02
    hide: float = 0.04
    empty: float = 0.05
    # Other applications read a shard too.
    crowd: float = 0.02
    # Partitions of the destination take few writes for a while.
    meter: float = 0.03
    # All machines sleep for longer than iterators live.
    night: float = 0.002
    workers_max: int = 3
    # There before the stream was switched on.
    items: int = 0
    # None: drawn; values repeat (toggles) or are all different.
    repeats: bool | None = None
    # None: drawn.
    fleet: Fleet | None = None


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
