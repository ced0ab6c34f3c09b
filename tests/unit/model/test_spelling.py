"""How far two spellings are apart."""

import pytest

from dynamirror.model.spelling import distance


@pytest.mark.parametrize(
    "one,other,apart",
    [
        ("", "", 0),
        ("", "abc", 3),
        ("us-east-1", "us-east-1", 0),
        ("us-esat-1", "us-east-1", 1),
        ("us-esat-1", "us-west-1", 2),
        ("us-est-1", "us-east-1", 1),
        ("us-east-11", "us-east-1", 1),
        ("us-east-9", "us-east-1", 1),
        ("ab", "ba", 1),
        ("abc", "cab", 2),
    ],
)
def test_letters_that_are_otherwise(one: str, other: str, apart: int) -> None:
    assert distance(one, other) == distance(other, one) == apart
