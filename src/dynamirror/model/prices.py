"""What AWS charges, in USD, in one table.

As of November 2024, US East: AWS's announcement of that month has the on-demand requests (0.625 per million write
request units, 0.125 per million read request units); 0.02 per 100,000 GetRecords of a stream, 0.25 per GB and month of
storage and 0.02 per GB from one Region to another are list prices that were older then. Standard-Infrequent Access is
1.25 times as dear for requests, and 0.10 per GB and month. Neither free amounts nor taxes nor discounts are in it.
Elsewhere prices are up to about half as high again: there the table is a floor, and says so. Any price can be replaced
by the operator's own.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TypeAlias

from dynamirror.errors import Refused

PRICES_OF = "2024-11"
INFREQUENT_ACCESS = "STANDARD_INFREQUENT_ACCESS"
_INFREQUENT_REQUESTS = 1.25
_INFREQUENT_STORAGE = 0.4

Overrides: TypeAlias = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Prices:
    """USD."""

    # Per million request units, on demand.
    write_million: float
    read_million: float
    # Per million GetRecords.
    stream_read_million: float
    # Per GB and month.
    storage_gb_month: float
    # Per GB that leaves for another Region.
    transfer_gb: float


_US = Prices(write_million=0.625, read_million=0.125, stream_read_million=0.2, storage_gb_month=0.25, transfer_gb=0.02)
# Regions of one price list; all others are charged by lists that are not here.
_GROUPS: tuple[tuple[frozenset[str], Prices], ...] = ((frozenset({"us-east-1", "us-east-2", "us-west-2"}), _US),)

PRICE_NAMES = tuple(asdict(_US))


@dataclass(frozen=True, slots=True)
class Tariff:
    """The prices for one Region, and how far they can be trusted."""

    region: str
    prices: Prices
    # Prices in force there at PRICES_OF; False: those of US East, which are lower.
    listed: bool
    # Names of prices that the operator gave.
    own: tuple[str, ...] = ()

    @property
    def exact(self) -> bool:
        """Whether no price is another Region's."""
        return self.listed or set(self.own) == set(PRICE_NAMES)


def tariff(region: str, table_class: str = "", own: Overrides | None = None) -> Tariff:
    """The prices for a table of `region`. Raises Refused for a price that is none.

    `own` replaces prices by name (PRICE_NAMES) and counts as it is, whatever the table's class.
    """
    own = own or {}
    for name, price in own.items():
        if name not in PRICE_NAMES:
            raise Refused(f"there is no price {name!r}; there are {', '.join(PRICE_NAMES)}")
        if not (math.isfinite(price) and price >= 0):
            raise Refused(f"the price {name} is {price}; it must be an amount of USD, 0 or more")
    listed = next((prices for regions, prices in _GROUPS if region in regions), None)
    prices = listed or _US
    if table_class == INFREQUENT_ACCESS:
        prices = replace(
            prices,
            write_million=prices.write_million * _INFREQUENT_REQUESTS,
            read_million=prices.read_million * _INFREQUENT_REQUESTS,
            storage_gb_month=prices.storage_gb_month * _INFREQUENT_STORAGE,
        )
    return Tariff(region, replace(prices, **own), listed is not None, tuple(sorted(own)))
