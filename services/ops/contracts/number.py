"""Writes the ids of fields into a contract file, as lines of text: comments and formatting stay as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from services.ops.writing import write_whole
from services.shared.contract.document import read_document
from services.shared.contract.fields import FIELD_IDS
from services.shared.contract.loader import load_contract
from services.shared.contract.model import LAST_FIELD_ID, ContractError, field_ids

_NAMED = 5  # fields in a message


def write_ids(file: Path) -> dict[str, int]:
    """Give each field of a contract that has no id the next free one, and write it into the file.

    Returns:
        the ids that were written, by the fields' paths; none if the file had all of them.

    Raises:
        ContractError: the file is not a usable contract for another reason, or its ids are laid out so that no line
            can be added; it is left as it was.
    """
    contract = load_contract(file, ids_required=False)
    earlier = _registry(read_document(file))
    fresh = {path: id_ for path, id_ in field_ids(contract).items() if path not in earlier}
    if not fresh:
        return {}
    if (last := max(fresh.values())) > LAST_FIELD_ID:
        raise ContractError(
            f"{file}: no ids are left for {', '.join(list(fresh)[:_NAMED])}: the next would be {last}, and "
            f"{LAST_FIELD_ID} is the last that may be. Take fields out of what is new, or store them inside an object "
            "whose properties are not described."
        )
    text = file.read_bytes().decode("utf-8")
    numbered = _with_lines(text, fresh)
    if numbered is None or _registry(yaml.safe_load(numbered)) != earlier | fresh:
        lines = "\n".join(f"  {path}: {id_}" for path, id_ in fresh.items())
        raise ContractError(
            f"{file}: the ids cannot be added to customProperties.{FIELD_IDS} of this layout; write each of its "
            f"entries on a line of its own, and add:\n{lines}"
        )
    write_whole(file, numbered)
    return fresh


def _registry(document: object) -> dict[str, int]:
    match document:
        case {"schema": [{"customProperties": list(entries)}]}:
            found = [entry.get("value") for entry in entries if entry.get("property") == FIELD_IDS]
            return dict(found[0] or {}) if found else {}
    return {}


def _with_lines(text: str, ids: dict[str, int]) -> str | None:
    """The text with the ids added: behind those that are there, or as a custom property of their own."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    custom = _value_of(_value_of(root, "schema").value[0], "customProperties")
    entries = [f"{_key(path)}: {id_}" for path, id_ in ids.items()]
    for entry in custom.value:
        if _value_of(entry, "property").value == FIELD_IDS:
            ids_node = _value_of(entry, "value")
            if not ids_node.value or ids_node.flow_style:
                return None
            indent = " " * ids_node.start_mark.column
            return _inserted(text, _end(ids_node), [f"{indent}{line}" for line in entries])
    if custom.flow_style:
        return None
    indent = " " * custom.start_mark.column
    lines = [f"{indent}- property: {FIELD_IDS} # every field there ever was; `smelt contracts number` adds to it"]
    lines += [f"{indent}  value:", *(f"{indent}    {line}" for line in entries)]
    return _inserted(text, _end(custom), lines)


def _value_of(mapping: Any, key: str) -> Any:
    """The node of a key of a mapping's node."""
    return next(value for name, value in mapping.value if name.value == key)


def _key(path: str) -> str:
    """A path as a key of YAML, which takes some words for something else (`on` is true)."""
    return path if yaml.safe_load(path) == path else f'"{path}"'


def _end(node: Any) -> int:
    """Where the last value in a node ends; the node itself reaches to the next token, behind comments."""
    while isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        node = last[1] if isinstance(node, yaml.MappingNode) else last
    end: int = node.end_mark.index
    return end


def _inserted(text: str, after: int, lines: list[str]) -> str:
    """The text with lines added below the line in which the character before `after` is."""
    newline = "\r\n" if "\r\n" in text else "\n"
    at = after if text[after - 1] == "\n" else text.find("\n", after) + 1
    if at == 0:  # the file's last line, without its end
        text, at = text + newline, len(text) + len(newline)
    return text[:at] + "".join(line + newline for line in lines) + text[at:]
