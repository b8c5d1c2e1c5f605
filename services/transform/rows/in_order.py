"""Many rows of a block at a time: those that share a layout become Arrow columns without being looked at one by one.

`accept` finds the rows of a layout of which it is certain that the reference accepts them, with the same values. It
judges none bad: rows that it does not return may be right or wrong.
"""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from services.shared.contract.model import Contract
from services.shared.judge.verdicts import RECORD_TYPE
from services.transform.blocks import Check, no_check
from services.transform.rows.columns import Certain, Columns, Rescued
from services.transform.rows.layout import Layout
from services.transform.rows.text import BlockText, Positions
from services.transform.rows.walk import Walk


def accept(
    text: BlockText,
    layout: Layout,
    rows: Positions,
    contract: Contract,
    is_default: bool,
    object_created: datetime,
    check: Check = no_check,
) -> Certain:
    """Those of the given rows that have the layout and that the contract surely accepts.

    `is_default` says whether rows without a `record_type` belong to the contract; `object_created` is the creation time
    of their object (UTC). `check` is called where values take long; what it raises ends the work.

    Raises:
        TooDense: the block must be cut.
    """
    rows = rows[text.matches(text.starts[rows], layout.literals[layout.keys[0]])]
    walk = _Reading(text, rows, layout, contract, check)
    for key in layout.keys:
        if key == RECORD_TYPE:
            walk.pass_record_type(is_default)
        else:
            walk.pass_key(key)
    walk.check_end()
    return walk.columns.accepted(object_created, walk.rescued)


class _Reading:
    """One pass through the rows, key by key."""

    def __init__(self, text: BlockText, rows: Positions, layout: Layout, contract: Contract, check: Check) -> None:
        self._layout = layout
        self.columns = Columns(text, rows, contract, check)
        has_nested = any(map(self.columns.looks_inside, set(layout.keys) - {RECORD_TYPE}))
        self._walk = Walk(text, rows, layout, has_nested)
        self._rescued: dict[str, Rescued] = {}

    def pass_record_type(self, is_default: bool) -> None:
        """Pass the dataset's name, which is part of the key's literal."""
        has_key, behind = self._walk.pass_literal(RECORD_TYPE, self.columns.ok)
        self.columns.add_record_type(self._layout.record_type, has_key, is_default)
        self._walk.move(has_key, behind)

    def pass_key(self, key: str) -> None:
        """Pass another key and its value, in the rows that have it."""
        has_key, value = self._walk.pass_literal(key, self.columns.ok)
        if not has_key.any():  # of thousands of keys, rows may have a few
            return
        behind, rescued = self.columns.read_key(key, value, has_key)
        if rescued:
            self._rescued[key] = rescued
        self._walk.move(has_key, behind)

    def check_end(self) -> None:
        """Check that the rows end here."""
        self.columns.ok &= self._walk.are_at_end()

    def rescued(self, chosen: Positions) -> pa.Array:
        """The keys of each row that no field holds whole, as one JSON object; null where there are none."""
        parts, has_any = [], np.zeros(len(chosen), dtype=bool)
        for key, (rows, texts) in self._rescued.items():
            values = texts.build(chosen)
            if not rows[chosen].all():
                values = pc.if_else(pa.array(rows[chosen]), values, pa.scalar(None, pa.string()))
            parts.append(pc.binary_join_element_wise(f",{self._layout.key_texts[key]}:", values, ""))
            has_any |= rows[chosen]
        if not has_any.any():
            return pa.nulls(len(chosen), pa.string())
        inner = pc.binary_join_element_wise(*parts, "", null_handling="replace", null_replacement="")
        whole = pc.binary_join_element_wise("{", pc.ascii_ltrim(inner, characters=","), "}", "")
        return pc.if_else(pa.array(has_any), whole, pa.scalar(None, pa.string()))
