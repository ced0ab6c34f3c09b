"""What this worker may have got without knowing it: takes and creates of lease rows whose answers were lost."""

from collections.abc import Collection, Iterable

from dynamirror.model.lease import Lease, Predecessor


class Doubts(dict[str, dict[int, Predecessor]]):
    """Shards whose row this worker has got, or may have got, and that no tenure holds yet; whoever begins the tenure
    takes them out. By the counter that the row then has, whom it was got from; of each attempt, for a later one that
    does not land leaves the row as an earlier one made it."""

    def add(self, shard_id: str, counter: int, got_from: Predecessor) -> bool:
        """Before an attempt; whether the same was not attempted before."""
        attempts = self.setdefault(shard_id, {})
        fresh = counter not in attempts
        attempts[counter] = got_from
        return fresh

    def made(self, shard_id: str) -> Collection[int]:
        """The counters that a row may have by attempts of this worker."""
        return self.get(shard_id, {}).keys()

    def failed(self, shard_id: str, counter: int) -> None:
        """The attempt was refused before anything was done."""
        attempts = self.get(shard_id, {})
        attempts.pop(counter, None)
        if not attempts:
            self.pop(shard_id, None)

    def got_from(self, row: Lease) -> Predecessor:
        """Of a row that names this worker."""
        if row.counter == 1:
            # Nobody had it before: made with this owner, or taken as it was made.
            return Predecessor.NOBODY
        return self.get(row.shard_id, {}).get(row.counter, Predecessor.UNKNOWN)

    def settle(self, rows: Iterable[Lease], me: str) -> None:
        """Drop what others have won: their counters have passed all that was attempted here, which can land no more.

        Else an attempt would be remembered for ever, and a lease that is handed over later be taken for its outcome.
        """
        for row in rows if self else ():
            attempts = self.get(row.shard_id)
            if attempts and row.owner != me and row.counter >= max(attempts):
                del self[row.shard_id]
