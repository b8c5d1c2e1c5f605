"""The pages of datasets as files in a folder: which there must be, which are not current."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from services.ops.contracts.pages import MARK, dataset_page, index_page
from services.ops.errors import OperatorError
from services.shared.contract.document import read_document
from services.shared.contract.loader import load_contracts

INDEX = "README.md"


def pages_of(directory: Path) -> dict[str, str]:
    """A file's name -> its text, for each contract of a folder, and the index.

    Raises:
        ContractError: a contract is broken, or there is none.
    """
    contracts = [contract for _, contract in sorted(load_contracts(directory).items())]
    pages = {f"{one.dataset}.md": dataset_page(one, read_document(one.file)) for one in contracts}
    return {INDEX: index_page(contracts), **pages}


def changed(pages: Mapping[str, str], folder: Path) -> list[str]:
    """The names of pages that are missing or others than they must be, and of pages of datasets that are gone."""
    known = {file.name: file.read_text("utf-8", errors="replace") for file in folder.glob("*.md") if file.is_file()}
    gone = [name for name, text in known.items() if name not in pages and text.startswith(MARK)]
    return sorted([*gone, *(name for name, text in pages.items() if known.get(name) != text)])


def write(pages: Mapping[str, str], folder: Path) -> None:
    """Write what is not current, and delete the pages of datasets that are gone.

    Raises:
        OperatorError: a file with the name of a page is there that this did not write; nothing was written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    outdated = changed(pages, folder)
    for file in (folder / name for name in outdated):
        if file.exists() and not file.read_text("utf-8", errors="replace").startswith(MARK):
            raise OperatorError(
                f"{file}: was not written by `smelt contracts docs`, and would be replaced. Pass another --out, such "
                "as docs/datasets."
            )
    for name in outdated:
        if name in pages:
            (folder / name).write_text(pages[name], "utf-8")
        else:
            (folder / name).unlink()
