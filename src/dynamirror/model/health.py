"""Whether a worker does its work: what each of its shards waits for, and whether that is a wait that ends by itself.

A shard makes progress when a page is read (an empty one too), a write becomes durable, or a checkpoint is saved. One
that makes none for STUCK_S is stuck, unless it waits for what it should wait for:

* a parent that is not read to its end yet, as long as its row can be read; the operator, who has paused the task;
* changes held while the table is copied; writes of a predecessor that may still land; the operator's limit of units;
* a write without an answer, for the time in which it may still land: once. Where nothing at all is answered any more
  that is no excuse, and the second time of the same write is none either.

That reading waits because writes are not durable is excused by writes that become durable, and by nothing else.
"""

from dataclasses import dataclass, replace
from enum import Enum

from dynamirror.model.permit import NEVER

# With LOOK_S it is told within 30 s.
STUCK_S = 25.0
# So often the worker looks at itself.
LOOK_S = 2.0
LOOP_S = 10.0
HEARTBEAT_S = 10.0
LEASES_S = 30.0
# Of many that are stuck for the same reason.
PROBLEMS_MAX = 20


class Doing(Enum):
    """What a shard's reader is at. The value ends the sentence "no page was read: it ..."."""

    WAITING_FOR_PARENTS = "waits until its parents are read"
    READING = "is asking for one"
    PAUSING = "pauses"
    QUEUING = "waits for its turn among this worker's shards"
    WAITING_FOR_ROOM = "waits until changes are durable"
    HANDING_ON = "waits for a proof of its lease"
    ENDING = "is at its end"
    ENDED = "has ended"


@dataclass(slots=True)
class Reading:
    """Kept up by a shard's reader; seconds of boot time but where it says otherwise."""

    doing: Doing = Doing.READING
    # The last page, or the end of the pause after it, or the beginning.
    at_s: float = NEVER
    # The newest change that was read, by its own stamp; 0: none, or the page after it had none left.
    behind_since_s: float = 0.0
    # The service's clock less this machine's, as of the last page.
    skew_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Unread:
    """A lease row that has to be read before a shard is, and cannot be. That the table does not answer is no reason."""

    # Whose it is: ends "the lease row of ...".
    whose: str
    since_s: float
    why: str


@dataclass(frozen=True, slots=True)
class ShardSigns:
    """A shard that is held, at one moment; seconds of boot time."""

    shard_id: str
    doing: Doing
    read_at_s: float = NEVER
    durable_at_s: float = NEVER
    saved_at_s: float = NEVER
    # The oldest page with writes that are not durable was handed on then; None: there is none.
    waits_since_s: float | None = None
    # Writes without an answer, for the first time, may land until then, and have been tried again.
    doubt_until_s: float = NEVER
    # A predecessor's writes may land until then.
    settles_at_s: float = NEVER
    # Changes wait for a copy.
    holds: bool = False
    # Checkpoints fail since then; None: the last one was saved.
    saving_fails_since_s: float | None = None
    # Only while it waits for its parents.
    unread: Unread | None = None


@dataclass(frozen=True, slots=True)
class WorkerSigns:
    """The whole worker, at one moment."""

    looked_at_s: float
    leases_answered_at_s: float
    # None: there are no heartbeats.
    beaten_at_s: float | None = None
    # Nothing the destination was asked since then was answered, more than one request; None: it answers.
    silent_since_s: float | None = None
    # Looking for new shards fails since then; None: it does not.
    listing_fails_since_s: float | None = None
    # Shards are read since then; infinite while the task is paused.
    reads_since_s: float = NEVER
    # The limit of units is what writes wait for.
    rate_waits: bool = False
    shards: tuple[ShardSigns, ...] = ()


@dataclass(frozen=True, slots=True)
class Problem:
    """Why the worker is not healthy. `shard_id` is empty where it is about the worker."""

    shard_id: str
    why: str

    def __str__(self) -> str:
        return f"shard {self.shard_id}: {self.why}" if self.shard_id else self.why


def problems(signs: WorkerSigns, now_s: float) -> list[Problem]:
    """None: healthy. `now_s` may be later than the look: a worker that no longer looks at itself is not healthy."""
    found = [Problem("", why) for why in _of_worker(signs, now_s)]
    since_s = signs.reads_since_s
    shards = [shard if shard.read_at_s >= since_s else replace(shard, read_at_s=since_s) for shard in signs.shards]
    read_at_s = max((shard.read_at_s for shard in shards), default=NEVER)
    durable_at_s = max((shard.durable_at_s for shard in signs.shards), default=NEVER)
    doubt_until_s = max((shard.doubt_until_s for shard in signs.shards), default=NEVER)
    silent = signs.silent_since_s is not None and now_s - signs.silent_since_s > STUCK_S
    for shard in shards:
        excused = signs.rate_waits or (now_s < shard.doubt_until_s and not silent)
        room_excused = signs.rate_waits or (now_s < doubt_until_s and not silent)
        why = (
            _waiting(shard, now_s)
            or _writing(shard, now_s, excused)
            or _reading(shard, now_s, read_at_s, durable_at_s, room_excused)
            or _saving(shard, now_s)
        )
        if why:
            found.append(Problem(shard.shard_id, why))
    return found


def _of_worker(signs: WorkerSigns, now_s: float) -> list[str]:
    found = []
    if (s := now_s - signs.looked_at_s) > LOOP_S:
        found.append(f"the event loop has not moved for {s:.0f} s")
    if signs.beaten_at_s is not None and (s := now_s - signs.beaten_at_s) > HEARTBEAT_S:
        found.append(f"no heartbeat was written for {s:.0f} s: others may take the leases")
    if (s := now_s - signs.leases_answered_at_s) > LEASES_S:
        found.append(f"the lease table has not answered for {s:.0f} s")
    if signs.listing_fails_since_s is not None and _long(s := now_s - signs.listing_fails_since_s):
        found.append(f"new shards could not be looked for, for {s:.0f} s: what comes in them waits")
    return found


def _waiting(shard: ShardSigns, now_s: float) -> str | None:
    unread = shard.unread
    if unread is None or not _long(since_s := now_s - unread.since_s):
        return None
    return f"it cannot read the lease row of {unread.whose}: {unread.why} (for {since_s:.0f} s)"


def _writing(shard: ShardSigns, now_s: float, excused: bool) -> str | None:
    if shard.waits_since_s is None or excused:
        return None
    since_s = now_s - max(shard.waits_since_s, shard.durable_at_s)
    return f"its changes wait for the destination, none became durable for {since_s:.0f} s" if _long(since_s) else None


def _reading(shard: ShardSigns, now_s: float, read_at_s: float, durable_at_s: float, room_excused: bool) -> str | None:
    """`read_at_s` and `durable_at_s`: of any shard of the worker."""
    if shard.doing in (Doing.WAITING_FOR_PARENTS, Doing.ENDED):
        return None
    # Nothing more may be read, or the end be saved, before the predecessor's writes have landed.
    if shard.doing in (Doing.WAITING_FOR_ROOM, Doing.ENDING) and now_s < shard.settles_at_s + STUCK_S:
        return None
    last_s = shard.read_at_s
    if shard.doing is Doing.QUEUING:
        last_s = max(last_s, read_at_s)
    if shard.doing is Doing.WAITING_FOR_ROOM:
        if room_excused:
            return None
        last_s = max(last_s, durable_at_s)
    if shard.doing is Doing.ENDING:
        if shard.holds or shard.waits_since_s is not None:
            return None
        last_s = max(last_s, shard.durable_at_s, shard.saved_at_s)
    since_s = now_s - last_s
    return f"no page was read for {since_s:.0f} s: it {shard.doing.value}" if _long(since_s) else None


def _saving(shard: ShardSigns, now_s: float) -> str | None:
    if shard.saving_fails_since_s is None:
        return None
    since_s = now_s - shard.saving_fails_since_s
    return f"its checkpoint could not be saved for {since_s:.0f} s" if _long(since_s) else None


def _long(since_s: float) -> bool:
    return since_s > STUCK_S
