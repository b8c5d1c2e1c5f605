"""`smelt report` over folders: the same rows as the files hold, on a page that is written as a whole."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from services.ops.report.model import LISTED
from services.shared.contract.loader import load_contracts
from services.shared.contract.model import Contract
from services.shared.identities import LakeKey, LotId
from tests.support.browser import look
from tests.support.memory import peak_memory
from tests.unit.workbench.conftest import Smelt, order, write_lines
from workbench.report.folder import of_folder

PWNED = "<script>pwned=1</script>"


@pytest.fixture
def trial(smelt: Smelt, tmp_path: Path) -> Path:
    """A trial of 50 good rows, two refused ones, unknown fields and a file that is no JSON."""
    rows = [*(order(n, new=PWNED) for n in range(50)), order(50, total=PWNED), {"at": 1, PWNED: 2}]
    write_lines(tmp_path / "orders/a.jsonl", rows)
    (tmp_path / "orders/b.csv").write_text("a,b\n")
    code, _, _ = smelt("try", "orders")
    assert code == 1
    return tmp_path / ".smelt/try"


def contracts_of(trial: Path) -> list[Contract]:
    return list(load_contracts(trial / "contracts").values())


def test_a_trial_names_its_page(smelt: Smelt, trial: Path, tmp_path: Path) -> None:
    _, out, _ = smelt("try", "orders")
    named = re.search(r"^Page: (.+)$", out, re.MULTILINE)
    assert named
    page = (tmp_path / named[1]).read_text()
    for told in ("52 = 50 in Silver + 2 in quarantine", "wrong_type", "orders/a.jsonl, line 51", "b.csv", "convert it"):
        assert told in page, told
    assert "<script" not in page
    assert "&lt;script&gt;pwned=1" in page


def test_a_trials_page_on_a_telephone(trial: Path, tmp_path: Path) -> None:
    seen = look((trial / "report.html").read_text(), tmp_path, 360)
    assert (seen.ran, seen.scripts, seen.wide, seen.outside, seen.faint) == (0, 0, 360, [], [])


def test_the_last_trial_is_reported_with_the_contracts_that_judged_it(
    smelt: Smelt, trial: Path, tmp_path: Path
) -> None:
    write_lines(tmp_path / "contracts/orders.yaml", ["changed since: and broken"])
    code, out, err = smelt("report")
    assert (code, out) == (0, "Page: .smelt/report.html\n"), err
    page = (tmp_path / ".smelt/report.html").read_text()
    assert "One row for each order." in page
    assert ">total</td>" in page
    assert "Event time: at. Key: order_id." in page


def test_rows_are_those_of_the_files(trial: Path) -> None:
    report = of_folder(trial, contracts_of(trial), datetime.now(UTC))
    files = list(trial.glob("silver/orders/*/*.parquet"))
    days = Counter(file.parent.name for file in files for _ in range(pq.read_metadata(file).num_rows))
    part = report.datasets["orders"]
    assert (part.silver, part.files, part.bytes) == (50, len(files), sum(file.stat().st_size for file in files))
    assert part.newest == "2026-01-03 08:00:00"
    picture = report.happened.picture("Rows")
    assert picture is not None
    assert {f"dt={label}": value for label, value in zip(picture.labels, picture.series[0][1], strict=True)} == days
    assert [(one.name, one.state, one.counts.read) for one in report.objects] == [
        ("orders/b.csv", "rejected", 0),
        ("orders/a.jsonl", "loaded", 52),
    ]
    assert sum(lot.silver for lot in report.lots) == 50


def test_a_folder_without_an_account_is_counted_from_its_files(smelt: Smelt, trial: Path, tmp_path: Path) -> None:
    (trial / "account.json").unlink()
    code, out, err = smelt("report", "--silver", trial, "--out", "deep/page.html")
    assert (code, out) == (0, "Page: deep/page.html\n"), err
    page = (tmp_path / "deep/page.html").read_text()
    assert "52 = 50 in Silver + 2 in quarantine" in page
    assert "The ledger knows more" in page
    assert "s3://" not in page.partition("Recent objects")[2].partition("Recent lots")[0]


def test_files_that_smelt_did_not_write_are_said_and_not_counted(smelt: Smelt, trial: Path, tmp_path: Path) -> None:
    strange = next(trial.glob("silver/orders/*/*.parquet"))
    strange.with_name("part-0.parquet").write_bytes(strange.read_bytes())
    assert smelt("report")[0] == 0
    assert "1 Parquet file has a name that smelt does not write" in (tmp_path / ".smelt/report.html").read_text()


@pytest.mark.parametrize(
    ("break_it", "told"),
    [
        (lambda trial: (trial / "account.json").write_text("{"), "is not what `smelt try` wrote"),
        (lambda trial: (trial / "account.json").write_text("[]"), "is not what `smelt try` wrote"),
        (lambda trial: next(trial.glob("silver/*/*/*.parquet")).write_bytes(b"PAR1"), "cannot be read"),
        (lambda trial: (trial / "contracts/orders.yaml").write_text("kind: x"), "orders.yaml"),
    ],
    ids=["half an account", "another account", "half a file", "a broken contract"],
)
def test_damage_is_named_and_the_last_page_stays(
    smelt: Smelt, trial: Path, tmp_path: Path, break_it: Callable[[Path], object], told: str
) -> None:
    smelt("report")
    before = (tmp_path / ".smelt/report.html").read_text()
    break_it(trial)
    code, out, err = smelt("report")
    assert (code, out) == (2, "")
    assert told in err
    assert "Traceback" not in err
    assert (tmp_path / ".smelt/report.html").read_text() == before


def test_without_anything_it_says_how_to_begin(smelt: Smelt) -> None:
    code, _, err = smelt("report")
    assert code == 2
    assert "Run `smelt try FILE...` or `make demo`" in err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--out", "."), "is not a file that can be replaced"),
        (("--out", "pipe"), "is not a file that can be replaced"),
        (("--contracts", "pipe"), "is not a folder"),
        (("--since", "2026-01-01"), "--since is about a deployment"),
        (("--table", "ledger"), "pass --table and --silver-bucket"),
        (("--silver", "nowhere"), "no such folder"),
    ],
)
def test_wrong_usage_says_what_to_do(smelt: Smelt, tmp_path: Path, words: tuple[str, ...], told: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    code, out, err = smelt("report", *words)
    assert (code, out) == (2, "")
    assert told in err


def test_a_trial_that_refused_nothing_is_all_right_with_its_page(smelt: Smelt, tmp_path: Path) -> None:
    file = write_lines(tmp_path / "orders/a.jsonl", map(order, range(3)))
    code, out, _ = smelt("try", file, "--json")
    assert (code, json.loads(out)["all_right"]) == (0, True)
    assert "No row was refused." in (tmp_path / ".smelt/try/report.html").read_text()


def test_a_hundred_thousand_objects_in_files_take_bounded_memory_and_a_small_page(smelt: Smelt, tmp_path: Path) -> None:
    folder = tmp_path / "lake"
    for nth in range(100):
        key = LakeKey(
            "silver", "orders", f"2026-01-{1 + nth % 28:02d}", LotId("20260131T120000Z", f"{nth:016x}"), "0" * 8
        )
        file = folder / str(key)
        file.parent.mkdir(parents=True, exist_ok=True)
        names = [f"s3://bronze/bronze/orders/{nth}-{one}-{'x' * 200}.jsonl#{one}" for one in range(1000)]
        created = pa.array([1_700_000_000_000_000 + nth] * 1000, pa.timestamp("us", "UTC"))
        pq.write_table(pa.table({"at": created, "_source": names, "_created": created}), file)
    smelt("report", "--silver", folder)  # what is imported is not counted
    with peak_memory() as peak:
        assert smelt("report", "--silver", folder)[0] == 0
    page = (tmp_path / ".smelt/report.html").read_text()
    assert "100,000 loaded" in page
    assert f"there are {100_000 - LISTED:,} more" in page
    assert len(page) < 200_000
    assert peak() < 400 * 1024 * 1024, f"{peak():,} bytes"


def test_a_page_that_cannot_be_made_leaves_the_last_trial_as_it_was(
    smelt: Smelt, trial: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (trial / "account.json").read_text()

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("workbench.report.folder.write_page", interrupted)
    code, _, err = smelt("try", write_lines(tmp_path / "orders/c.jsonl", [order(1)]))
    assert (code, "Interrupted." in err) == (130, True)
    assert (trial / "account.json").read_text() == before
    assert [path.name for path in trial.parent.iterdir()] == ["try"]


@pytest.mark.parametrize(
    "account",
    [
        '{"rows": {}, "refusals": [], "refused_files": []}',
        '{"rows": {"read": 1}, "refusals": [{}], "refused_files": []}',
        '{"rows": 5, "refusals": 5, "refused_files": 5}',
        '{"rows": {"read": "x"}, "refusals": [], "refused_files": []}',
        '{"rows": {"read": 1}, "refusals": [], "refused_files": [{}]}',
    ],
)
def test_an_account_of_another_form_is_named(smelt: Smelt, trial: Path, account: str) -> None:
    (trial / "account.json").write_text(account)
    code, _, err = smelt("report", "--silver", trial)
    assert (code, "is not what `smelt try` wrote" in err, "Traceback" in err) == (2, True, False)


def test_a_file_with_an_impossible_time_or_without_sources_is_no_crash(smelt: Smelt, trial: Path) -> None:
    first, second = sorted(trial.glob("silver/*/*/*.parquet"))[:2]
    first.rename(first.with_name(f"99999999{first.name[8:]}"))
    duckdb.sql(f"COPY (SELECT 1 AS other) TO '{second}' (FORMAT parquet)")
    code, _, err = smelt("report", "--silver", trial)
    assert (code, err) == (0, "")
    assert "1 Parquet file has a name that smelt does not write" in Path(".smelt/report.html").read_text()


def test_only_a_page_is_replaced_by_a_page(smelt: Smelt, trial: Path, tmp_path: Path) -> None:
    rows = write_lines(tmp_path / "mine.jsonl", [order(0)])
    before = rows.read_bytes()
    code, _, err = smelt("report", "--silver", trial, "--out", rows)
    assert (code, "is not a page" in err, rows.read_bytes() == before) == (2, True, True)
    (tmp_path / "new.html").touch()
    assert [smelt("report", "--silver", trial, "--out", "new.html")[0] for _ in range(2)] == [0, 0]
