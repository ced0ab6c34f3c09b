"""What a copy is given from outside."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from dynamirror.errors import ItemRefused
from dynamirror.loops.gate import Gate
from dynamirror.loops.patience import CredentialsPatience
from dynamirror.loops.rate import Rate
from dynamirror.loops.signal import Signal
from dynamirror.model.change import Write
from dynamirror.model.copy import CopyKnowledge
from dynamirror.model.key import KeyCodec
from dynamirror.ports import Clock, DestinationTable, ItemSource, LeaseStore, MetricSink
from dynamirror.settings.groups import CopySettings, HoldSettings, WriteSettings
from dynamirror.state_ports import CopyStore, StateStore


@dataclass(frozen=True, slots=True)
class CopySettingsInForce:
    """The groups that a copy looks at."""

    copy: CopySettings
    hold: HoldSettings
    write: WriteSettings
    # A worker is dead when its heartbeat has stood still for so long.
    silence_s: float


@dataclass(frozen=True, slots=True)
class CopyTools:
    """What all segments of a worker share."""

    store: CopyStore
    state: StateStore
    # None: nobody follows the table, so there is nobody who might not wait.
    leases: LeaseStore | None
    source: ItemSource
    destination: DestinationTable
    codec: KeyCodec
    clock: Clock
    random: Callable[[], float]
    metrics: MetricSink
    settings: CopySettingsInForce
    worker: str
    # About so many items are to be copied; 0: not known.
    items: int
    # For the look at the copy's rows; each segment, and what writes, has its own.
    credentials: CredentialsPatience
    # What this worker knows of the copy, for its appliers; `learned` is notified when it may have changed.
    knowledge: CopyKnowledge
    learned: Signal
    # Told at once of items that may have been written too late: they are to be reconciled.
    note_late: Callable[[Sequence[Write]], None]
    # Makes that duty durable.
    late_noted: Callable[[], Awaitable[None]]
    rate: Rate
    # Makes a row durable for an item that the destination refuses; until then the page is not done. Raises Stop where
    # it may not be parked (follow/parking).
    park: Callable[[Write, ItemRefused], Awaitable[object]]
    # Closed while the task is paused.
    gate: Gate = field(default_factory=Gate)
