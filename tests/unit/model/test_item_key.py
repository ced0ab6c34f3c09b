"""Keys are read out of whatever holds them, and kept verbatim."""

import msgspec
import pytest

from dynamirror.model.change import Write
from dynamirror.model.item_key import ItemKeys
from dynamirror.model.key import KeyAttribute, KeyCodec, KeySchema

KEYS = ItemKeys(KeyCodec(KeySchema(KeyAttribute("pk", "S"), KeyAttribute("sk", "N"))))
VERBATIM = {"pk": {"S": "k"}, "sk": {"N": "1E+125"}}
KEY = ("k", "1" + 125 * "0")


@pytest.mark.parametrize(
    "raw",
    [b'{"sk":{"N":"1E+125"},"pk":{"S":"k"}}', b'{"v":{"L":[{"NULL":true}]},"pk":{"S":"k"},"sk":{"N":"1E+125"}}'],
    ids=["keys", "image"],
)
def test_out_of_keys_images_and_writes(raw: bytes) -> None:
    found = [
        KEYS.of(raw),
        KEYS.of(msgspec.Raw(raw)),
        KEYS.of_item(msgspec.json.decode(raw)),
        KEYS.of_write(Write(KEY, b'{"PutRequest":{"Item":' + raw + b"}}")),
        KEYS.of_write(Write(KEY, b'{"DeleteRequest":{"Key":' + raw + b"}}")),
    ]
    assert all((key.key, key.attributes) == (KEY, VERBATIM) for key in found)


def test_equal_by_value() -> None:
    one, other = KEYS.of(b'{"pk":{"S":"k"},"sk":{"N":"1"}}'), KEYS.of(b'{"pk":{"S":"k"},"sk":{"N":"1.0"}}')
    assert one == other
    assert len({one, other}) == 1


@pytest.mark.parametrize("raw", [b'{"pk":{"S":"k"}}', b"[]", b"{", b'{"pk":{"S":"k"},"sk":{"S":"1"}}'])
def test_anything_else_is_an_error(raw: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        KEYS.of(raw)


def test_a_key_by_value_is_spelled_in_a_way_that_means_the_same() -> None:
    keys = ItemKeys(KeyCodec(KeySchema(KeyAttribute("pk", "S"), KeyAttribute("sk", "N"))))
    for text in ("0", "-0.50", "1E+125", "9.9999999999999999999999999999999999999E+125", "-1E-130", "100"):
        item_key = keys.of(msgspec.json.encode({"pk": {"S": "ü"}, "sk": {"N": text}}))
        again = keys.of_key(item_key.key)
        assert again == item_key
        assert keys.of_item(again.attributes) == item_key
        assert len(again.attributes["sk"]["N"]) <= 45
