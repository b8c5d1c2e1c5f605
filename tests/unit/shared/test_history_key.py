"""Names of the history's files."""

from __future__ import annotations

import pytest

from services.shared.identities import HistoryKey

DAY_MS = 1_769_817_600_000  # 2026-01-31T00:00:00Z


@pytest.mark.parametrize("rewritten", [False, True])
@pytest.mark.parametrize("table", ["objects", "lots"])
@pytest.mark.parametrize(("first", "last"), [(0, 0), (1, 86_399_999), (43_200_007, 43_200_070)])
def test_a_name_is_read_back_as_it_was_written(table: str, first: int, last: int, rewritten: bool) -> None:
    key = HistoryKey(table, DAY_MS + first, DAY_MS + last, "0123abcd", rewritten)
    assert HistoryKey.parse(str(key)) == key
    assert str(key).startswith(f"history/{table}/dt=2026-01-31/")


def test_names_of_one_table_sort_by_time() -> None:
    keys = [HistoryKey("lots", DAY_MS + hour * 3_600_000, DAY_MS + 86_399_999, "0" * 8) for hour in (-30, -1, 0, 9, 10)]
    assert sorted(keys, key=str) == keys


@pytest.mark.parametrize(
    "key",
    [
        "history/lots/dt=2026-01-31/x.parquet",
        "history/other/dt=2026-01-31/000000000-000000000-00000000.parquet",
        "history/lots/dt=2026-01-31/999999999-000000000-00000000.parquet",
        "silver/lots/dt=2026-01-31/000000000-000000000-00000000.parquet",
    ],
)
def test_other_names_are_not_of_the_history(key: str) -> None:
    with pytest.raises(ValueError):
        HistoryKey.parse(key)
