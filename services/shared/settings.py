"""Settings from the environment: each exists because a deployment needs to change it.

A missing or wrong one fails at start-up with its name, its value and what is expected.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Self

from services.shared.errors import Terminal
from services.shared.ledger.records import Outbox

MIB = 1024 * 1024


class SettingsError(Terminal):
    """A setting that is missing or cannot be used."""


def _text(env: Mapping[str, str], name: str) -> str:
    value = env.get(name, "").strip()
    if not value:
        raise SettingsError(f"the environment variable {name} is missing; set it on the function")
    return value


def _number(env: Mapping[str, str], name: str, default: int, least: int = 1) -> int:
    text = env.get(name, "").strip()
    if not text:
        return default
    try:
        value = int(text)
    except ValueError:
        raise SettingsError(f"{name}={text!r} is not a whole number") from None
    if value < least:
        raise SettingsError(f"{name}={value} is too small; it must be at least {least}")
    return value


def _outboxes(env: Mapping[str, str]) -> frozenset[Outbox]:
    names = [name.strip() for name in env.get("OUTBOXES", "").split(",") if name.strip()]
    if unknown := sorted(set(names) - set(Outbox)):
        raise SettingsError(f"OUTBOXES names {unknown[0]!r}; it may name {', '.join(Outbox)}, with commas between")
    return frozenset(map(Outbox, names))


def unit_bytes_of(env: Mapping[str, str]) -> int:
    """Bytes of a plain object that one worker reads.

    Raises:
        SettingsError: UNIT_BYTES cannot be used.
    """
    return _number(env, "UNIT_BYTES", 64 * MIB, least=1024)


@dataclass(frozen=True, slots=True)
class IngestSettings:
    """What the ingest function needs to know."""

    bronze_bucket: str
    queue_url: str
    ledger_table: str
    unit_bytes: int  # bytes of a plain object that one worker reads

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Self:
        return cls(
            bronze_bucket=_text(env, "BRONZE_BUCKET"),
            queue_url=_text(env, "QUEUE_URL"),
            ledger_table=_text(env, "LEDGER_TABLE"),
            unit_bytes=unit_bytes_of(env),
        )


@dataclass(frozen=True, slots=True)
class TransformSettings:
    """What the transform function needs to know."""

    bronze_bucket: str
    silver_bucket: str
    queue_url: str
    dead_letter_queue_url: str
    ledger_table: str
    contracts_dir: Path
    lot_bytes: int  # raw bytes of rows held in memory at once: the size of a lot, or of one part of it
    max_row_bytes: int  # a longer row is quarantined
    outboxes: frozenset[Outbox]  # whose marks a commit leaves

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Self:
        return cls(
            bronze_bucket=_text(env, "BRONZE_BUCKET"),
            silver_bucket=_text(env, "SILVER_BUCKET"),
            queue_url=_text(env, "QUEUE_URL"),
            dead_letter_queue_url=_text(env, "DEAD_LETTER_QUEUE_URL"),
            ledger_table=_text(env, "LEDGER_TABLE"),
            contracts_dir=Path(env.get("CONTRACTS_DIR", "contracts")),
            lot_bytes=_number(env, "LOT_BYTES", 128 * MIB, least=MIB),
            max_row_bytes=_number(env, "MAX_ROW_BYTES", 8 * MIB, least=1024),
            outboxes=_outboxes(env),
        )


@dataclass(frozen=True, slots=True)
class OpsSettings:
    """What the operators' functions need to know."""

    bronze_bucket: str
    silver_bucket: str
    queue_url: str
    ledger_table: str
    ingest_function: str
    contracts_dir: Path
    lake_database: str  # of the catalog; empty where there is no lake

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Self:
        return cls(
            bronze_bucket=_text(env, "BRONZE_BUCKET"),
            silver_bucket=_text(env, "SILVER_BUCKET"),
            queue_url=_text(env, "QUEUE_URL"),
            ledger_table=_text(env, "LEDGER_TABLE"),
            ingest_function=_text(env, "INGEST_FUNCTION"),
            contracts_dir=Path(env.get("CONTRACTS_DIR", "contracts")),
            lake_database=env.get("LAKE_DATABASE", "").strip(),
        )


@dataclass(frozen=True, slots=True)
class GateSettings:
    """What the gate's function needs to know."""

    silver_bucket: str
    ledger_table: str
    contracts_dir: Path
    quarantine_prefix: str  # where markers of partitions that have not passed are; empty for none

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Self:
        return cls(
            silver_bucket=_text(env, "SILVER_BUCKET"),
            ledger_table=_text(env, "LEDGER_TABLE"),
            contracts_dir=Path(env.get("CONTRACTS_DIR", "contracts")),
            quarantine_prefix=env.get("GE_QUARANTINE_PREFIX", "").strip(),
        )


@dataclass(frozen=True, slots=True)
class AnnounceSettings:
    """What the announcer of written partitions needs to know."""

    ledger_table: str
    pipeline: str  # in each event, so that rules tell one pipeline from another
    every: timedelta  # a partition is announced once in this time

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Self:
        return cls(
            ledger_table=_text(env, "LEDGER_TABLE"),
            pipeline=_text(env, "PIPELINE"),
            every=timedelta(minutes=_number(env, "ANNOUNCE_EVERY_MINUTES", 15)),
        )
