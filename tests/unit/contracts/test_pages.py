"""`make docs` writes a page for each dataset from its contract, and `make lint` sees when one is not current."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from local.ministack import ROOT
from services.ops.cli.app import app
from services.ops.cli.console import ExitCode, execute
from services.ops.contracts.page_files import INDEX, changed, pages_of
from services.ops.contracts.pages import MARK
from services.shared.contract.loader import load_contracts
from services.shared.contract.model import field_ids
from tests.support.catalog import every_contract, written_file
from tests.unit.contracts.conftest import Change
from workbench.query.athena import LocalAthena, statements_of


def rows_of(page: str) -> dict[str, list[str]]:
    """The first cell of each table's row -> the others."""
    cells = [re.split(r"(?<!\\) \| ", line.strip("| ")) for line in page.splitlines() if line.startswith("| ")]
    return {first.strip("`"): rest for first, *rest in cells}


def test_the_pages_in_the_repository_are_current(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert changed(pages_of(Path("contracts")), Path("docs/datasets")) == []


def test_a_page_has_every_column_with_its_id_and_what_is_inside(tmp_path: Path) -> None:
    folder = every_contract(tmp_path / "contracts")
    pages = pages_of(folder)
    contracts = load_contracts(folder)
    assert set(pages) == {INDEX, *(f"{dataset}.md" for dataset in contracts)}
    for dataset, contract in contracts.items():
        rows = rows_of(pages[f"{dataset}.md"])
        for path, id_ in field_ids(contract).items():
            if path not in dict(contract.retired) and path != "notes.element":  # inside JSON text
                assert rows[path][2] == str(id_), path
    orders = rows_of(pages["orders.md"])
    assert orders["total"][:4] == ["decimal(14,4)", "`decimal(14,4)`", "8", ""]
    assert orders["notes"][0] == "JSON text"
    assert orders["customer.homeTown"][0] == "string"
    assert orders["placed_on"][3] == "yes"
    assert orders["accepted"] == ["from 2020-01-01 until 2 d 1 h after the object's creation"]


def test_rules_classification_sources_and_words_of_sql_are_told(write: Change) -> None:
    file = write(
        ("          tags: 8", "          order: 8"),
        (
            "      - name: tags\n        logicalType: array",
            "      - name: order\n        physicalName: $.order.no\n        classification: restricted\n"
            "        examples: ['a|b']\n        quality:\n          - metric: invalidValues\n            arguments:\n"
            "              validValues: [a, b]\n            mustBeLessThan: 3\n            unit: percent\n"
            "        logicalType: string",
        ),
    )
    page = pages_of(file.parent)["parcels.md"]
    assert "| `order` (a word of SQL: quote it) | string | `string` | 8 |" in page
    assert '| `"a\\|b"` | `$.order.no` | restricted |' in page
    assert "| rows whose `order` is none of `'a'`, `'b'` | less than 3 % |" in page


def test_check_fails_where_a_page_is_not_current_and_changes_nothing(
    write: Change, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    contracts = write().parent
    out = tmp_path / "pages"
    run = ["contracts", "docs", str(contracts), "--out", str(out)]
    assert execute(app, [*run, "--check"]) == ExitCode.FOUND
    assert not out.exists()
    assert execute(app, run) == ExitCode.OK
    assert execute(app, [*run, "--check"]) == ExitCode.OK
    (out / "gone.md").write_text(f"{MARK}\n# gone\n")
    (out / "own.md").write_text("# A page of yours\n")
    (out / "parcels.md").write_text(f"{MARK} edited")
    capsys.readouterr()
    assert execute(app, [*run, "--check"]) == ExitCode.FOUND
    said = capsys.readouterr().out
    assert "gone.md" in said
    assert "parcels.md" in said
    assert (out / "parcels.md").read_text() == f"{MARK} edited"
    assert execute(app, run) == ExitCode.OK
    assert sorted(file.name for file in out.iterdir()) == [INDEX, "own.md", "parcels.md"]


@pytest.mark.parametrize("theirs", [INDEX, "parcels.md"])
def test_a_page_that_somebody_wrote_is_not_replaced(
    write: Change, tmp_path: Path, capsys: pytest.CaptureFixture[str], theirs: str
) -> None:
    contracts = write().parent
    (tmp_path / theirs).write_bytes(b"# My project, caf\xe9\n")
    assert execute(app, ["contracts", "docs", str(contracts), "--out", str(tmp_path)]) == ExitCode.FAILED
    assert "was not written by" in " ".join(capsys.readouterr().err.split())
    assert [file.name for file in tmp_path.glob("*.md")] == [theirs]
    assert (tmp_path / theirs).read_bytes() == b"# My project, caf\xe9\n"


@pytest.mark.parametrize("dataset", ["orders", "shipments", "flights"])
def test_the_queries_of_a_page_run(tmp_path: Path, dataset: str) -> None:
    """Over a lake with a file of the dataset."""
    folder = every_contract(tmp_path / "contracts")
    contracts = load_contracts(folder)
    file = tmp_path / f"silver/{dataset}/dt=2021-03-04/a.parquet"
    file.parent.mkdir(parents=True)
    file.write_bytes(written_file(contracts[dataset], contracts))
    (queries,) = re.findall(r"```sql\n(.*?)```", pages_of(folder)[f"{dataset}.md"], flags=re.DOTALL)
    athena = LocalAthena(tmp_path)
    day, latest, refused = [athena.query(one.sql("athena")).rows for one in statements_of(queries)]
    assert (len(day), len(refused)) == (0, 0)
    assert latest


def test_the_latest_rows_are_found_where_a_column_is_called_place(write: Change) -> None:
    """A contract's column never begins with _, whatever dataset of `silver` it is of."""
    file = write(("          tags: 8", "          place: 8"), ("      - name: tags\n", "      - name: place\n"))
    page = pages_of(file.parent)["parcels.md"]
    (named,) = re.findall(r"AS (\w+)\n", page)
    assert named not in {field.name for field in load_contracts(file.parent)["parcels"].fields}
    assert f"WHERE {named} = 1;" in page


def test_a_dataset_without_a_key_has_no_query_for_one(write: Change) -> None:
    page = pages_of(write(("        primaryKey: true\n", "")).parent)["parcels.md"]
    assert rows_of(page)["key"] == ["none: compaction keeps every row"]
    assert "PARTITION BY" not in page and "-- what was refused, and why" in page
