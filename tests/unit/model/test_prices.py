"""Prices: of the Region where they are listed, a floor elsewhere, the operator's own before all."""

import pytest

from dynamirror.errors import Refused
from dynamirror.model.prices import INFREQUENT_ACCESS, PRICE_NAMES, tariff


def test_a_region_of_the_list_has_its_price() -> None:
    found = tariff("us-east-1")
    assert (found.prices.write_million, found.prices.read_million) == (0.625, 0.125)
    assert found.exact


def test_another_region_is_said_to_be_a_floor() -> None:
    assert not tariff("eu-west-1").exact
    assert not tariff("eu-west-1", own={"write_million": 0.7}).exact
    assert tariff("eu-west-1", own=dict.fromkeys(PRICE_NAMES, 1.0)).exact


def test_ones_own_price_counts_whatever_the_class() -> None:
    rare = tariff("us-east-1", INFREQUENT_ACCESS)
    assert rare.prices.write_million == pytest.approx(0.78125)
    assert rare.prices.storage_gb_month == pytest.approx(0.1)
    own = tariff("us-east-1", INFREQUENT_ACCESS, {"write_million": 0.5})
    assert own.prices.write_million == 0.5
    assert own.own == ("write_million",)


@pytest.mark.parametrize("price", [{"writes": 1.0}, {"read_million": -1.0}, {"read_million": float("nan")}])
def test_what_is_no_price_is_refused(price: dict[str, float]) -> None:
    with pytest.raises(Refused, match="price"):
        tariff("us-east-1", own=price)
