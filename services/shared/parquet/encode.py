"""From tables in memory to the files of one part of a lot: keys and Parquet bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa

from services.shared.contract.model import Contract
from services.shared.identities import QUARANTINE_ROOT, SILVER_ROOT, UNKNOWN_RECORD_TYPE, LakeKey, LotId
from services.shared.parquet.files import quarantine_file, silver_files

EncodedFile = tuple[str, bytes, int]  # key, Parquet bytes, rows


def encode(
    silver: Mapping[str, pa.Table],
    quarantine: pa.Table | None,
    contracts: Mapping[str, Contract],
    lot: LotId,
    variant: str,
    part: int,
    generation: int = 1,
) -> Iterator[EncodedFile]:
    """The files of one part of a lot: Silver by dataset and day, then quarantine by dataset.

    Args:
        silver: accepted rows by dataset.
        quarantine: refused rows; None where there are none.
        contracts: the contracts of all datasets.
        lot: names the files, with `variant`, `part` and `generation`: see `LakeKey`.
    """
    metadata = {"smelt.lot": str(lot)}
    for dataset, table in sorted(silver.items()):
        for day, data, rows in silver_files(table, contracts[dataset], metadata):
            yield str(LakeKey(SILVER_ROOT, dataset, day.isoformat(), lot, variant, part, generation)), data, rows
    if quarantine is None:
        return
    for folder, rows in _by_folder(quarantine, contracts):
        key = LakeKey(QUARANTINE_ROOT, folder, lot.day.isoformat(), lot, variant, part, generation)
        yield str(key), quarantine_file(rows, metadata), rows.num_rows


def _by_folder(quarantine: pa.Table, contracts: Mapping[str, Contract]) -> Iterator[tuple[str, pa.Table]]:
    """Refused rows by the folder that they belong to, without an object for each of millions of rows.

    Record types that no contract describes share one folder: their names come from outside.
    """
    types = quarantine["record_type"].unify_dictionaries().combine_chunks()
    folders = np.array([name if name in contracts else UNKNOWN_RECORD_TYPE for name in types.dictionary.to_pylist()])
    names, numbers = np.unique(folders, return_inverse=True)
    of_row = numbers[types.indices.to_numpy()]
    for number, name in enumerate(names.tolist()):
        mine = of_row == number
        if mine.all():
            yield name, quarantine
        elif mine.any():
            yield name, quarantine.filter(pa.array(mine))
