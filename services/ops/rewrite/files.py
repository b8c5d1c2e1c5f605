"""The files of a lot: what their names say, and those that are lost."""

from __future__ import annotations

from dataclasses import replace

from services.shared.errors import Terminal
from services.shared.identities import LakeKey
from services.shared.ledger.records import Lot, LotFile

LOST = "lost-"  # begins the etag of a file that was lost, and some of whose rows have left since


class ConservationError(Terminal):
    """The files do not hold the rows that the ledger says: nothing is changed."""


def without_lost(file: LotFile, rows: int) -> LotFile:
    """A file that is lost, without some of its rows.

    Whoever brings it back brings these rows back, too, which may be loaded elsewhere by then. So its etag is one that
    no file has, and the audit tells.
    """
    etag = file.etag if file.etag.startswith(LOST) else LOST + file.etag
    return replace(file, rows=file.rows - rows, etag=etag)


def files_of(lot: Lot, root: str, record_type: str | None = None) -> list[LotFile]:
    """A lot's files under one root, of one record type if it is given; one part of the lot after the other."""
    found = sorted(((parsed_name(file.key), file) for file in lot.files), key=lambda pair: pair[0].part)
    return [file for key, file in found if key.root == root and record_type in (None, key.record_type)]


def parsed_name(key: str) -> LakeKey:
    """
    Raises:
        ConservationError: smelt has given no file such a name.
    """
    try:
        return LakeKey.parse(key)
    except ValueError as error:
        raise ConservationError(f"{error}; nothing is changed. Report this as a bug") from error
