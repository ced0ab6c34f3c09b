"""The settings, in small frozen groups: each room is handed only the group it needs.

Names, defaults, limits and help of the flags stand in `settings/flags`; this is what they become.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dynamirror.model.copy import HOLD_S
from dynamirror.model.gap import OnGap
from dynamirror.model.rate import Limit
from dynamirror.model.shard_graph import Start


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """The table that is read, and its stream."""

    region: str
    table: str
    endpoint: str | None = None
    # None: the source endpoint if given, else from the Region.
    streams_endpoint: str | None = None
    profile: str | None = None
    # Assumed for the source table and its stream only.
    role_arn: str | None = None


@dataclass(frozen=True, slots=True)
class DestinationSettings:
    """The table that is written."""

    region: str
    table: str
    endpoint: str | None = None
    profile: str | None = None
    # Attributes aws:rep:* of the source's items are not written (--drop-aws-rep).
    drop_aws_rep: bool = False


@dataclass(frozen=True, slots=True)
class TaskSettings:
    """The task's lease table (and the state table beside it)."""

    # Resolved: the source Region where none was given.
    region: str
    # Resolved: None means the Region's own endpoint.
    endpoint: str | None
    lease_table: str
    # The name was given by the user, not derived from the pair.
    named: bool


@dataclass(frozen=True, slots=True)
class ReadSettings:
    """How a shard is read."""

    batch_size: int = 1000
    idle_poll_max_s: float = 1.0
    parent_poll_s: float = 10.0
    # What is done where changes were trimmed unread (--on-gap).
    on_gap: OnGap = OnGap.STOP
    start: Start = field(default_factory=Start)


@dataclass(frozen=True, slots=True)
class WriteSettings:
    """How changes are applied. Bounds of one worker, not of a shard."""

    # T of protocol-review section 4: total time-out of one attempt.
    attempt_timeout_s: float = 5.0
    # L: how long a request may still land after its client gave up (--stray-life).
    stray_life_s: float = 30.0
    # How far two clocks may drift apart within a lease, and how late a timer may fire.
    clock_drift_s: float = 1.0
    requests_in_flight_max: int = 32
    # Bytes of write requests accepted and not yet durable; readers wait above it.
    queue_bytes_max: int = 16 * 1024 * 1024
    # Bytes of writes remembered for a second sending after unclean starts; reading waits above it.
    resend_bytes_max: int = 32 * 1024 * 1024
    # --cautious-takeover: after an unclean start write nothing until the predecessor's writes have settled.
    cautious: bool = False
    # Items that the destination refuses and the task may go on without; 0: the first one stops it (--max-parked).
    parked_max: int = 100

    @property
    def settle_s(self) -> float:
        """T + L: nothing of a request sent so long ago is still on its way."""
        return self.attempt_timeout_s + self.stray_life_s

    @property
    def margin_s(self) -> float:
        """Sending stops so long before somebody else may take the lease: the last attempt is over by then."""
        return self.attempt_timeout_s + self.clock_drift_s


@dataclass(frozen=True, slots=True)
class HoldSettings:
    """How changes wait while a copy runs."""

    # H: from the receipt of a change to its sending. More than D + T + L + drift.
    hold_s: float = HOLD_S
    # A: a change older than H + A by its own stamp and the service's clock need not wait.
    age_s: float = 300.0
    # X: a worker that has read "no copy" so lately does not hold.
    known_s: float = 10.0
    # Bytes of pages that wait in memory; what is beyond is read again when it is due.
    bytes_max: int = 48 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class CopySettings:
    """How the table is copied."""

    # Begin a copy unless the task has one already.
    wanted: bool = False
    # The table is copied and not followed: nobody changes it meanwhile, and no stream is needed.
    at_rest: bool = False
    allow_non_empty: bool = False
    segments: int = 64
    # By one worker at the same time.
    segments_at_once: int = 8
    requests_in_flight_max: int = 32
    # Items of a page: the first one's, and the most. In between, as many as are written in D/2 at the present rate.
    page_items_first: int = 100
    page_items_max: int = 2000
    # D: a page is sent so long after its reading was begun at the latest.
    page_life_s: float = 10.0
    # The row of the copy is read so often: twice within X (HoldSettings.known_s) at least.
    watch_s: float = 2.5


@dataclass(frozen=True, slots=True)
class RateSettings:
    """How fast the workers of a task may be together. None: no limit."""

    # Of the copy, at the source.
    read: Limit | None = None
    # Of changes and copy, at the destination.
    write: Limit | None = None


@dataclass(frozen=True, slots=True)
class LeaseSettings:
    """How leases are kept. `docs/LEASES.md` has the reasons of each figure."""

    duration_s: float = 10.0
    heartbeat_s: float = 1.0
    watch_s: float = 1.0
    scan_s: float = 10.0
    # KCL workers expect to see the counter move in each of their scans (P-13), which are 120 s apart. With the
    # heartbeats this comes to no more writes than theirs, every 19.975 s.
    renew_s: float = 20.5
    # 60 s failover time of the Java tool + 20 s guard (P-12).
    java_patience_s: float = 80.0
    # After this moment a KCL worker may take a row whose counter stands still (failoverTimeMillis of the Java tool;
    # --java-failover-time, with which renewals, patience and scans go: settings/java_times).
    java_failover_s: float = 60.0
    # A Java owner whose lease was stolen goes on until its next renewal fails, and to the end of that batch (P-11).
    java_batch_s: float = 5.0
    # A proof of ownership allows sending for so long; it is renewed twice as often while writes are on their way.
    proof_s: float = 1.0
    shard_sync_s: float = 60.0
    checkpoint_s: float = 1.0

    @property
    def java_notices_s(self) -> float:
        """So long after its lease was stolen a Java worker may still write: it renews every third of its time."""
        return self.java_failover_s / 3 + self.java_batch_s


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Where events are written."""

    directory: Path | None = None
    level: str = "INFO"
    # "text" or "json"
    format: str = "text"
    config_file: Path | None = None


@dataclass(frozen=True, slots=True)
class CloudWatchSettings:
    """How metrics are published."""

    # None: the Region's own.
    endpoint: str | None = None
    per_shard: bool = False


@dataclass(frozen=True, slots=True)
class Address:
    """Where something is served."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    """Where figures go beside the logs. None: nowhere."""

    cloudwatch: CloudWatchSettings | None = None
    http: Address | None = None
    # This process's supervisor serves them (--processes with --http).
    supervised: bool = False

    @property
    def shown(self) -> bool:
        """Somebody may look at the figures while it runs."""
        return self.http is not None or self.supervised


@dataclass(frozen=True, slots=True)
class CloneSettings:
    """How a missing destination is made."""

    wanted: bool = False
    indexes_after_copy: bool = False
    # How it differs from its source (model/table_overrides).
    overrides: Mapping[str, object] = field(default_factory=dict)
    # The flag and the file that they were read from; empty: there was none.
    origin: str = ""


@dataclass(frozen=True, slots=True)
class CheckSettings:
    """What the checks before the start let pass."""

    allow_loop: bool = False
    enable_stream: bool = False


@dataclass(frozen=True, slots=True)
class ReplicationSettings:
    """Everything that `replicate` needs; immutable once parsed."""

    source: SourceSettings
    destination: DestinationSettings
    task: TaskSettings
    read: ReadSettings = field(default_factory=ReadSettings)
    write: WriteSettings = field(default_factory=WriteSettings)
    lease: LeaseSettings = field(default_factory=LeaseSettings)
    hold: HoldSettings = field(default_factory=HoldSettings)
    copy: CopySettings = field(default_factory=CopySettings)
    clone: CloneSettings = field(default_factory=CloneSettings)
    rate: RateSettings = field(default_factory=RateSettings)
    log: LogSettings = field(default_factory=LogSettings)
    checks: CheckSettings = field(default_factory=CheckSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    # Worker processes of the command line; None: one a core. A program is one worker.
    processes: int | None = 1
    # The Java tool's command line (no sub-command): rights may cover the lease table only.
    java_form: bool = False
