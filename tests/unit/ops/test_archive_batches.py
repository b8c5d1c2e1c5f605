"""How finished work is cut into batches: one day each, and lists that fit in an item."""

from __future__ import annotations

import random
import string

from services.ops.history.writer import DAY_MS, _days, _fitting
from services.shared.ledger.archive import MAX_BATCH_BYTES
from services.shared.ledger.entries import OpenEntry
from services.shared.ledger.items import pack


def entry(at: int) -> OpenEntry:
    return OpenEntry("done#00", at, f"object#{at}")


def test_a_batch_has_entries_of_one_day_only() -> None:
    times = [0, 5, DAY_MS - 1, DAY_MS, DAY_MS + 1, 3 * DAY_MS]
    groups = [[since for _, since in group] for group in _days(map(entry, times), 100)]
    assert groups == [[0, 5, DAY_MS - 1], [DAY_MS, DAY_MS + 1], [3 * DAY_MS]]


def test_a_batch_has_no_more_entries_than_a_file_takes() -> None:
    assert [len(group) for group in _days(map(entry, range(25)), 10)] == [10, 10, 5]


def test_names_of_any_length_fit_in_the_item_of_a_batch() -> None:
    chance = random.Random(7)
    names = ["".join(chance.choices(string.printable, k=1000)) for _ in range(1500)]
    entries = [(name, number) for number, name in enumerate(names)]
    parts = list(_fitting(entries))
    assert [one for part in parts for one in part] == entries
    assert len(parts) > 1
    assert all(len(pack([list(one) for one in part])["B"]) <= MAX_BATCH_BYTES for part in parts)
    assert list(_fitting([])) == []
