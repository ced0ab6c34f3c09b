"""What reconcile is given from outside."""

from collections.abc import Callable
from dataclasses import dataclass

from dynamirror.model.key import KeyCodec
from dynamirror.ports import Clock, ItemReader, ItemTable, MetricSink
from dynamirror.settings.groups import WriteSettings
from dynamirror.state_ports import StateStore


@dataclass(frozen=True, slots=True)
class Claims:
    """By what a worker holds its duties: rows of the state table, and its heartbeats."""

    state: StateStore
    worker: str
    # When the last heartbeat that was answered had been sent, on this worker's boot-time clock.
    beaten_at_s: Callable[[], float]
    # A claim ends when its worker's heartbeat has stood still for so long (the lease duration).
    silence_s: float


@dataclass(frozen=True, slots=True)
class ReconcileTools:
    """Both tables, and what a worker shares."""

    source: ItemReader
    destination: ItemTable
    codec: KeyCodec
    clock: Clock
    random: Callable[[], float]
    metrics: MetricSink
    settings: WriteSettings
    # None where there is no state table: duties then end with the process.
    claims: Claims | None
