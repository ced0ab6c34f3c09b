"""Who should have which shards: what to ask of living workers, what to give, what to steal where nobody can be asked.

Between workers that can be asked a lease moves only from one that has at least two more to one that has fewer: each
move makes the sum of the squares smaller, so whoever decides, and on however old a reading, they come to rest, and no
two then differ by more than one. Towards a Java worker the rule is KCL's (LeaseTaker.chooseLeasesToSteal), else the
two would steal from each other for ever (P-15).
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, MutableMapping, Sequence

from dynamirror.model.lease import TRIM_HORIZON, Lease
from dynamirror.model.lease_plan import Fleet, Watch

# Of one worker at a time: they all stand in its heartbeat row.
ASKED_AT_ONCE_MAX = 100
# A shard has a checkpoint a second while there is something to read, and an end when there is nothing.
STUCK_S = 600.0

Loads = MutableMapping[str, int]


def loads(rows: Iterable[Lease], fleet: Fleet) -> Loads:
    """Shards that are not finished, by living worker; those without any have 0."""
    found = Counter(row.owner for row in rows if not row.finished and row.owner in fleet.living)
    return {worker: found[worker] for worker in fleet.living}


def may_move(load: Mapping[str, int], giver: str, taker: str) -> bool:
    """Whether a shard may go from the one to the other; a worker that is not known may take nothing."""
    return taker in load and load[taker] + 1 < load.get(giver, 0)


def asks(
    rows: Sequence[Lease], fleet: Fleet, me: str, asked: Collection[str], draw: Callable[[], float]
) -> dict[str, str]:
    """The shards to ask for now, each with its owner; of those `asked` for before, what is still wanted of the same.

    Which of a worker's shards is drawn, so that two who ask at the same time seldom ask for the same.
    """
    load = loads(rows, fleet)
    theirs_all = [row for row in rows if not row.finished and row.owner in fleet.askable - {me}]
    # One with a wait before it may not be given, and whoever took it would begin that wait anew.
    owner_of = {row.shard_id: row.owner for row in theirs_all if not row.unsettled}
    wanted: dict[str, str] = {}

    def want(shard_id: str, owner: str) -> None:
        wanted[shard_id] = owner
        load[me] += 1
        load[owner] -= 1

    for shard_id in sorted(asked):
        owner = owner_of.get(shard_id)
        if owner is not None and may_move(load, owner, me):
            want(shard_id, owner)
    theirs: dict[str, list[str]] = {}
    for shard_id, owner in sorted(owner_of.items()):
        if owner is not None and shard_id not in wanted:
            theirs.setdefault(owner, []).append(shard_id)
    while theirs and len(wanted) < ASKED_AT_ONCE_MAX:
        owner = max(theirs, key=lambda name: (load[name], name))
        if not may_move(load, owner, me):
            break
        of_it = theirs[owner]
        want(of_it.pop(int(draw() * len(of_it))), owner)
        if not of_it:
            del theirs[owner]
    return wanted


def gives(load: Loads, me: str, wants: Mapping[str, Collection[str]], held: Collection[str]) -> dict[str, str]:
    """Of what others want (by worker) what this worker lets them have: shard -> worker. In turn, one each.

    `load` is brought up to what it then is.
    """
    found: dict[str, str] = {}
    queues = {worker: [shard for shard in sorted(shards) if shard in held] for worker, shards in sorted(wants.items())}
    while queues:
        for worker in list(queues):
            queue = [shard for shard in queues.pop(worker) if shard not in found]
            if queue and may_move(load, me, worker):
                found[queue[0]] = worker
                load[me] -= 1
                load[worker] += 1
                queues[worker] = queue[1:]
    return found


def stuck_ends(rows: Sequence[Lease], fleet: Fleet, watch: Watch, is_closed: Callable[[str], bool]) -> list[Lease]:
    """Closed shards whose owner goes on renewing them and never says that they are finished, while their children wait.

    A Java worker whose one write of SHARD_END failed is done with the shard, and nobody else would ever take it (P-22).
    """
    waiting = {parent_id for row in rows if row.checkpoint == TRIM_HORIZON for parent_id in row.parent_ids}
    return [
        row
        for row in rows
        if row.shard_id in waiting
        and not row.finished
        and row.owner in fleet.living
        and row.terms_in_force is None
        and is_closed(row.shard_id)
        and watch.checkpoint_still_s(row) > STUCK_S
    ]


def steal(rows: Sequence[Lease], fleet: Fleet, me: str, draw: Callable[[], float]) -> Lease | None:
    """One lease to take from a living worker that cannot be asked: a Java one, or one without a state table.

    KCL's target over KCL's population, but of a worker's rows a live one: a finished one is no work.
    """
    load = Counter(row.owner for row in fleet.population(rows) if row.owner in fleet.living)
    mine, share = load[me], fleet.share(rows)
    others = sorted((load[name], name) for name in fleet.living if name != me)
    if not others or mine >= share:
        return None
    most, owner = others[-1]
    may = most > share or (most == share and share - mine > 1)
    if owner not in fleet.stealable or not may:
        return None
    live = (row for row in rows if row.owner == owner and not row.finished and not row.unsettled)
    theirs = sorted(live, key=lambda row: row.shard_id)
    return theirs[int(draw() * len(theirs))] if theirs else None
