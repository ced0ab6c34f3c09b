"""What a table and its indexes can do, as DescribeTable says it (API reference, TableDescription)."""

import msgspec

from dynamirror.model.table_definition import Throughput


class Billing(msgspec.Struct, rename="pascal"):
    """How it is paid for. A table that never was on demand says nothing."""

    billing_mode: str = "PROVISIONED"

    @property
    def on_demand(self) -> bool:
        """Paid for by request."""
        return self.billing_mode == "PAY_PER_REQUEST"


class Capacity(msgspec.Struct, rename="pascal"):
    """Of a provisioned table or index."""

    read_capacity_units: int = 0
    write_capacity_units: int = 0

    def throughput(self) -> Throughput | None:
        """None: nothing is said."""
        return _throughput(self.read_capacity_units, self.write_capacity_units)


class Maxima(msgspec.Struct, rename="pascal"):
    """Of an on-demand one, if it has any."""

    # -1: there is none, spelled out.
    max_read_request_units: int = -1
    max_write_request_units: int = -1

    def throughput(self) -> Throughput | None:
        """None: nothing is said."""
        return _throughput(self.max_read_request_units, self.max_write_request_units)


class Warm(msgspec.Struct, rename="pascal"):
    """What it can do at once."""

    read_units_per_second: int = 0
    write_units_per_second: int = 0

    def throughput(self) -> Throughput | None:
        """None: nothing is said."""
        return _throughput(self.read_units_per_second, self.write_units_per_second)


def at_once(billing: Billing, capacity: Capacity, maxima: Maxima, warm: Warm) -> Throughput:
    """Units a second that a table can do without growing; None: not said. Not what an on-demand table may grow to."""
    if not billing.on_demand:
        return capacity.throughput() or Throughput()
    most, now = maxima.throughput() or Throughput(), warm.throughput() or Throughput()
    return Throughput(most.read or now.read, most.write or now.write)


def _throughput(read: int, write: int) -> Throughput | None:
    found = Throughput(read if read > 0 else None, write if write > 0 else None)
    return None if found == Throughput() else found
