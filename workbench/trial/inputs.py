"""Which files are tried, and which dataset each belongs to."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.ops.errors import OperatorError
from services.shared.contract.loader import load_contract, load_contracts
from services.shared.contract.model import Contract
from services.shared.judge.row_json import own_record_type, read_row
from services.shared.judge.verdicts import RECORD_TYPE, Rejection
from workbench.inprocess.folder import walk
from workbench.inprocess.rows import NotTaken, first_rows

_LOOKED_AT = 100  # rows of a file, to learn its dataset


@dataclass(frozen=True, slots=True)
class Input:
    """A file, and the dataset whose folder in Bronze it would be uploaded to."""

    path: Path
    dataset: str


def find_files(names: Sequence[str], out: Path | None = None) -> list[Path]:
    """The files that are named, those in the folders that are named, and those that match; each once, in order.

    Hidden files in folders are left out, files in hidden folders, and what trials wrote to `out`. Links to folders are
    followed, each folder once.

    Raises:
        OperatorError: a name stands for no file at all, or for something that is no file.
        OSError: a folder cannot be looked into.
    """
    written = None if out is None else Path(os.path.realpath(out))
    found: dict[str, Path] = {}
    for name in names:
        files = [*_files_of(name, written)]
        if not files:
            raise OperatorError(f"{name}: {_nothing(name)}")
        for file in files:
            found.setdefault(os.path.realpath(file), file)
    return list(found.values())


def _files_of(name: str, out: Path | None) -> Iterator[Path]:
    path = Path(name)
    if path.is_dir():
        yield from _files_in(path, out)
    elif path.exists():
        if not path.is_file():
            raise OperatorError(
                f"{name}: is not a file that can be read twice. Write what it gives to a file, try that."
            )
        yield path
    else:
        for match in map(Path, sorted(glob.glob(name, recursive=True))):  # noqa: PTH207 (the pattern may be absolute)
            yield from _files_in(match, out) if match.is_dir() else [_checked(match)]


def _files_in(folder: Path, out: Path | None) -> Iterator[Path]:
    seen: set[str] = set()
    for above, folders, names in walk(folder, follow_links=True):
        real = os.path.realpath(above)
        if real in seen or (out is not None and _is_of(Path(real), out)):
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (_checked(Path(above, name)) for name in sorted(names) if not name.startswith("."))


def _is_of(folder: Path, out: Path) -> bool:
    """Whether a trial wrote this folder: the last one, or one that is going on or was killed."""
    return folder == out or (folder.parent == out.parent and folder.name.startswith(f"{out.name}.running-"))


def _checked(file: Path) -> Path:
    if not file.is_file():
        raise OperatorError(
            f"{file}: is a link that leads nowhere, or no file that can be read twice. Remove it, or name the files "
            "without it, such as 'folder/*.jsonl'."
        )
    return file


def _nothing(name: str) -> str:
    if Path(name).is_dir():
        return "no files in this folder. Pass files of JSON, or a folder that holds some."
    return "matches no file." if any(sign in name for sign in "*?[") else "no such file or folder."


def read_contracts(contract: Path | None, contracts: Path, name: str = "NAME") -> dict[str, Contract]:
    """One contract, or all contracts of a folder.

    Raises:
        OperatorError: the folder does not exist.
        ContractError: a contract cannot be used.
    """
    if contract is not None:
        if contract.is_dir():
            raise OperatorError(f"{contract}: is a folder. Pass --contracts for a folder of contracts.")
        read = load_contract(contract)
        return {read.dataset: read}
    if not contracts.is_dir() or not any(contracts.glob("*.y*ml")):
        raise OperatorError(
            f"{contracts}: no contracts here. Pass --contract FILE or --contracts DIR, or write a first contract with "
            f"`smelt infer FILE... --name {name} --out {contracts}/{name}.yaml`."
        )
    return load_contracts(contracts)


def choose_dataset(dataset: str, contracts: Mapping[str, Contract], folder: Path) -> str:
    """The dataset that was asked for.

    Raises:
        OperatorError: no contract describes it.
    """
    if dataset not in contracts:
        raise OperatorError(
            f"{dataset}: no contract in {folder} describes this dataset; there are {_listed(contracts)}. "
            f"Write one with `smelt infer FILE... --name {dataset} --out {folder}/{dataset}.yaml`."
        )
    return dataset


def by_folder_or_rows(files: Iterable[Path], contracts: Mapping[str, Contract]) -> list[Input]:
    """Each file with the dataset that its nearest folder names, or else its first row with a `record_type`.

    Raises:
        OperatorError: neither says so for a file.
    """
    return [Input(file, _dataset_of(file, contracts)) for file in files]


def _dataset_of(file: Path, contracts: Mapping[str, Contract]) -> str:
    for folder in file.resolve().parents:
        if folder.name in contracts:
            return folder.name
    record_types = _record_types(file)
    for record_type in record_types:
        if record_type in contracts:
            return record_type
    says = f"its rows say {record_types[0]!r}" if record_types else f"its first rows have no {RECORD_TYPE}"
    raise OperatorError(
        f"{file}: no contract for it. Neither its folders' names nor a row's {RECORD_TYPE} is the name of a dataset "
        f"({_listed(contracts)}); {says}. Pass --dataset or --contract, or write a first contract: "
        f"`smelt infer {file} --name NAME --out contracts/NAME.yaml`."
    )


def _record_types(file: Path) -> list[str]:
    """The record types of a file's first rows, without repeats."""
    found: dict[str, None] = {}
    try:
        for row in first_rows(file, _LOOKED_AT):
            try:
                own = own_record_type(read_row(row, (RECORD_TYPE,)))
            except Rejection:
                continue
            if own is not None:
                found.setdefault(own)
    except NotTaken:
        return []
    return list(found)


def _listed(contracts: Mapping[str, Contract]) -> str:
    names = sorted(contracts)
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
