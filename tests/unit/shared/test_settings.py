"""A setting that is missing or wrong fails at start-up with its name."""

from __future__ import annotations

import pytest

from services.shared.ledger.records import Outbox
from services.shared.settings import IngestSettings, SettingsError, TransformSettings

INGEST = {"BRONZE_BUCKET": "b", "QUEUE_URL": "q", "LEDGER_TABLE": "t"}


def test_defaults_are_the_documented_ones() -> None:
    ingest = IngestSettings.from_env(INGEST)
    assert ingest.unit_bytes == 64 * 1024 * 1024
    transform = TransformSettings.from_env(INGEST | {"SILVER_BUCKET": "s", "DEAD_LETTER_QUEUE_URL": "d"})
    assert (transform.lot_bytes, transform.max_row_bytes) == (128 * 1024 * 1024, 8 * 1024 * 1024)


@pytest.mark.parametrize("name", sorted(INGEST))
def test_a_missing_setting_is_named(name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        IngestSettings.from_env(INGEST | {name: " "})


@pytest.mark.parametrize("value", ["many", "0", "-1", "1.5", "1023"])
def test_a_wrong_number_is_named_with_its_value(value: str) -> None:
    with pytest.raises(SettingsError, match="UNIT_BYTES"):
        IngestSettings.from_env(INGEST | {"UNIT_BYTES": value})


def test_outboxes_are_named_with_commas_between() -> None:
    env = INGEST | {"SILVER_BUCKET": "s", "DEAD_LETTER_QUEUE_URL": "d"}
    assert TransformSettings.from_env(env).outboxes == frozenset()
    assert TransformSettings.from_env(env | {"OUTBOXES": "publish, events"}).outboxes == frozenset(Outbox)
    with pytest.raises(SettingsError, match="OUTBOXES names 'mails'; it may name publish, events"):
        TransformSettings.from_env(env | {"OUTBOXES": "publish,mails"})
