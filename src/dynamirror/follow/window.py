"""How many bytes may be on their way to the destination: as many as it has answered in time, lately.

Without it a narrow path never recovers: all requests share it, all pass their time-out together, wait together (doubt),
and go again together. Additive increase, multiplicative decrease, as TCP does; one decrease for all that were sent
before it.
"""

BYTES_MIN = 64 * 1024
# For each batch that was answered.
GROWTH_BYTES = 64 * 1024


class Window:
    """Bytes in flight, and their limit."""

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.limit_bytes = bytes_max
        self.in_flight_bytes = 0
        self._reduced_at_s = float("-inf")

    def __repr__(self) -> str:
        return f"Window({self.in_flight_bytes} of {self.limit_bytes})"

    @property
    def room_bytes(self) -> int:
        """What may be sent now; when nothing is in flight, anything may."""
        return self.limit_bytes - self.in_flight_bytes

    def sent(self, size_bytes: int) -> None:
        """A batch leaves."""
        self.in_flight_bytes += size_bytes

    def answered(self, size_bytes: int) -> None:
        """It was answered, whatever the answer."""
        self.in_flight_bytes -= size_bytes
        self.limit_bytes = min(self.bytes_max, self.limit_bytes + GROWTH_BYTES)

    def unanswered(self, size_bytes: int, sent_at_s: float, now_s: float) -> None:
        """It was not."""
        if sent_at_s >= self._reduced_at_s:
            self.limit_bytes = max(BYTES_MIN, min(self.limit_bytes, self.in_flight_bytes) // 2)
            self._reduced_at_s = now_s
        self.in_flight_bytes -= size_bytes
