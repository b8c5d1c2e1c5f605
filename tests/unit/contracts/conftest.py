"""A contract file to spoil."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

PARCELS = """\
apiVersion: v3.1.0
kind: DataContract
id: test-parcels
version: 1.0.0
status: active
schema:
  - name: parcels
    logicalType: object
    description: One row for each parcel.
    customProperties:
      - property: eventTime
        value: at
      - property: earliest
        value: "2020-01-01"
      - property: maxAhead
        value: PT6H
      - property: fieldIds
        value:
          at: 5
          parcel_id: 6
          price: 7
          tags: 8
    properties:
      - name: at
        logicalType: timestamp
        description: When.
        required: true
      - name: parcel_id
        logicalType: string
        description: Which.
        required: true
        primaryKey: true
      - name: price
        logicalType: number
        physicalType: decimal(8,2)
        description: How much.
      - name: tags
        logicalType: array
        description: What is written on it.
"""

Change = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Change:
    """Writes the contract of parcels, with texts replaced; returns its file. Each text must be there, once or more."""

    def write_changed(*changes: tuple[str, str], name: str = "parcels.yaml") -> Path:
        text = PARCELS
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new, 1)
        file = tmp_path / name
        file.write_text(text, "utf-8")
        return file

    return write_changed
