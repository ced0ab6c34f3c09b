"""`--destination-settings`: read and checked before anything is asked, documented in full."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from dynamirror.errors import Refused
from dynamirror.model.table_overrides import (
    BILLINGS,
    INDEX_SETTINGS,
    RECOVERY_DAYS_MAX,
    SETTINGS,
    TABLE_CLASSES,
    VIEW_TYPES,
)
from dynamirror.settings.destination_file import read_destination_file
from dynamirror.settings.parse import settings_from

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "destination-settings.md"
PAIR: dict[str, Any] = {
    "source_region": "us-east-1",
    "source_table": "Orders",
    "destination_region": "eu-west-1",
    "destination_table": "Copy",
}


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_toml_and_json_say_the_same(tmp_path: Path) -> None:
    toml = written(tmp_path, "t.toml", 'recovery = 7\n[tags]\nteam = "a"\n[indexes]\ng = false')
    same = written(tmp_path, "t.JSON", json.dumps({"recovery": 7, "tags": {"team": "a"}, "indexes": {"g": False}}))
    assert read_destination_file(toml) == read_destination_file(same)


@pytest.mark.parametrize(
    "name,text,said",
    [
        ("t.yaml", "", "the name must end in .toml or .json"),
        ("t.toml", "billing = ", "Invalid value"),
        ("t.toml", "recovery = 1\nrecovery = 2", "Cannot overwrite a value"),
        ("t.json", '{"recovery": 1, "recovery": 2}', "the key recovery stands there twice"),
        ("t.json", "[1]", "must be an object of settings by name"),
        ("t.json", "[" * 100_000, "t.json: "),
        ("t.json", "{", "Expecting property name"),
        ("t.toml", 'colour = "red"', "unknown setting of the destination table: colour; there are billing, "),
        ("t.toml", 'billing = "free"', "billing of the destination table must be one of on-demand, provisioned"),
        ("t.toml", "recovery = 1979-05-27", "recovery of the destination table must be true, false, or 1 to 35 days"),
        ("t.toml", "[indexes]\ng = { size = 1 }", "unknown setting size of the index g"),
    ],
)
def test_what_cannot_be_is_one_line_with_the_files_name(tmp_path: Path, name: str, text: str, said: str) -> None:
    path = written(tmp_path, name, text)
    with pytest.raises(Refused) as refusal:
        settings_from({**PAIR, "create_destination": True, "destination_settings": path}, java_form=False, now_ms=0)
    line = str(refusal.value)
    assert line.startswith(f"--destination-settings {path}: ")
    assert said in line
    assert "\n" not in line


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"none.toml: No such file"):
        read_destination_file(tmp_path / "none.toml")


def test_it_is_refused_without_a_table_to_make(tmp_path: Path) -> None:
    path = written(tmp_path, "t.toml", "recovery = 7")
    with pytest.raises(Refused, match=r"^--destination-settings .* does nothing without --create-destination"):
        settings_from({**PAIR, "destination_settings": path}, java_form=False, now_ms=0)


def test_the_page_has_every_key_and_every_word(tmp_path: Path) -> None:
    page = PAGE.read_text()
    rows = "".join(re.findall(r"^\| (`.*?) \|", page, re.MULTILINE))
    assert set(re.findall(r"`(\w+)`", rows)) == set(SETTINGS)
    for name in INDEX_SETTINGS:
        assert page.count(f"`{name}`") >= 2, name
    for word in (*BILLINGS, *VIEW_TYPES, *TABLE_CLASSES, "off", "aws-owned", "aws-managed"):
        assert f'`"{word}"`' in page, word
    assert f"1 to {RECOVERY_DAYS_MAX} days" in page


def test_the_pages_example_is_one(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    found = read_destination_file(written(tmp_path, "t.toml", example))
    assert found["billing"] == "provisioned"
    assert found["indexes"] == {"by-customer": {"read_capacity": 50, "write_capacity": 500}, "by-age": False}
