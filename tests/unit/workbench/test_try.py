"""`smelt try`: every row of local files is accounted for, and nothing that was there before is in the way."""

from __future__ import annotations

import bz2
import gzip
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from local.ministack import ROOT
from services.shared.lake import ObjectGone
from tests.support.running import await_true
from tests.unit.workbench.conftest import CONTRACT, Smelt, order, write_lines
from workbench.inprocess.folder import ACCOUNT, FolderLake, local_object


def tried(smelt: Smelt, *arguments: object) -> tuple[int, dict[str, Any]]:
    """The exit code and the JSON of a trial."""
    code, out, err = smelt("try", *arguments, "--json")
    assert out, err
    return code, json.loads(out)


def rows_in(out: Path, root: str = "silver") -> list[dict[str, Any]]:
    return [row for file in sorted(out.glob(f"{root}/*/dt=*/*.parquet")) for row in pq.read_table(file).to_pylist()]


def test_a_clean_file_is_in_silver_and_ends_with_0(smelt: Smelt, tmp_path: Path) -> None:
    file = write_lines(tmp_path / "orders/a.jsonl", map(order, range(10)))
    code, found = tried(smelt, file, "--out", "out")
    assert code == 0
    assert found["rows"] == {"read": 10, "silver": 10, "quarantined": 0}
    assert {row["order_id"] for row in rows_in(tmp_path / "out")} == {f"o{number}" for number in range(10)}
    assert json.loads((tmp_path / "out" / ACCOUNT).read_text()) == found


def test_refused_rows_are_shown_with_their_line_their_field_and_their_text(smelt: Smelt, tmp_path: Path) -> None:
    rows = [order(0), "", order(1, total="heavy"), order(2), '{"at": broken']
    file = write_lines(tmp_path / "orders/a.jsonl", rows)
    code, found = tried(smelt, file)
    assert code == 1
    assert found["rows"] == {"read": 4, "silver": 2, "quarantined": 2}
    by_reason = {refusal["reason"]: refusal for refusal in found["refusals"]}
    (wrong,) = by_reason["wrong_type"]["examples"]
    assert (by_reason["wrong_type"]["field"], wrong["line"], wrong["file"]) == ("total", 3, str(file))
    assert '"heavy"' in wrong["raw"]
    assert by_reason["malformed_json"]["examples"][0]["line"] == 5
    code, shown, _ = smelt("try", file)
    assert (code, "a.jsonl:3 (byte" in shown, "4 rows = 2 in Silver + 2 in quarantine" in shown) == (1, True, True)


def test_text_of_a_row_cannot_move_the_cursor_or_become_markup(smelt: Smelt, tmp_path: Path) -> None:
    file = write_lines(tmp_path / "orders/a.jsonl", [order(0, total="[red]:smile:"), '{"x": "\x1b[2J"}'])
    _, shown, _ = smelt("try", file)
    assert "[red]:smile:" in shown
    assert "\x1b" not in shown
    assert "\\x1b[2J" in shown


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress)])
def test_lines_of_compressed_files_are_counted_in_what_they_hold(
    smelt: Smelt, tmp_path: Path, suffix: str, pack: Any
) -> None:
    plain = write_lines(tmp_path / "a", [*map(order, range(50)), order(50, total="heavy")]).read_bytes()
    file = tmp_path / f"orders.jsonl{suffix}"
    file.write_bytes(pack(plain))
    _, found = tried(smelt, file, "--dataset", "orders")
    assert found["refusals"][0]["examples"][0]["line"] == 51


def test_elements_of_an_array_have_the_line_in_which_they_start(smelt: Smelt, tmp_path: Path) -> None:
    file = tmp_path / "orders.json"
    file.write_text(
        "[\n" + ",\n".join(json.dumps(order(0, **({"total": "x"} if at == 2 else {}))) for at in range(4)) + "]"
    )
    _, found = tried(smelt, file, "--dataset", "orders")
    assert [example["line"] for example in found["refusals"][0]["examples"]] == [4]


def test_several_processes_give_the_rows_that_one_gives(smelt: Smelt, tmp_path: Path) -> None:
    padding = "x" * 2000
    files = [
        write_lines(tmp_path / f"orders/{name}.jsonl", (order(number, note=padding) for number in range(5000)))
        for name in "abc"
    ]
    code, alone = tried(smelt, *files, "--jobs", 1, "--out", "alone")
    assert (code, alone["jobs"], alone["rows"]["silver"]) == (0, 1, 15000)
    code, together = tried(smelt, *files, "--jobs", 2, "--out", "together")
    assert (code, together["jobs"], together["rows"]) == (0, 2, alone["rows"])
    known = [
        sorted((row["_source"], row["_offset"]) for row in rows_in(tmp_path / out)) for out in ("alone", "together")
    ]
    assert known[0] == known[1]
    assert together["unknown_fields"] == {"orders": {"note": 10000}}


def test_files_are_named_by_folder_by_pattern_and_once(smelt: Smelt, tmp_path: Path) -> None:
    write_lines(tmp_path / "orders/2026/a.jsonl", [order(0)])
    write_lines(tmp_path / "orders/2026/.hidden.jsonl", [order(1)])
    write_lines(tmp_path / "orders/b.jsonl", [order(2)])
    code, found = tried(smelt, "orders", "orders/*.jsonl", "orders/b.jsonl")
    assert (code, found["files"], found["rows"]["silver"]) == (0, 2, 2)


def test_a_row_s_record_type_tells_the_dataset_where_no_folder_does(smelt: Smelt, tmp_path: Path) -> None:
    file = write_lines(tmp_path / "export.jsonl", [order(0, record_type="orders")])
    assert tried(smelt, file)[1]["datasets"]["orders"]["silver"] == 1


def test_a_file_of_no_dataset_leads_to_infer(smelt: Smelt, tmp_path: Path) -> None:
    file = write_lines(tmp_path / "export.jsonl", [order(0)])
    code, _, told = smelt("try", file)
    assert code == 2
    assert f"smelt infer {file} --name NAME" in told.replace("\n", " ")


def test_one_contract_describes_all_files_wherever_they_are(smelt: Smelt, tmp_path: Path) -> None:
    file = write_lines(tmp_path / "export.jsonl", [order(0)])
    contract = write_lines(tmp_path / "mine.yaml", CONTRACT.splitlines())
    assert tried(smelt, file, "--contract", contract)[0] == 0


def test_a_file_that_is_not_taken_is_refused_with_its_reason(smelt: Smelt, tmp_path: Path) -> None:
    write_lines(tmp_path / "orders/a.jsonl", [order(0)])
    write_lines(tmp_path / "orders/a.csv", ["a,b"])
    code, found = tried(smelt, "orders")
    assert (code, found["rows"]["silver"]) == (1, 1)
    assert [(one["file"], one["reason"]) for one in found["refused_files"]] == [("orders/a.csv", "unsupported_format")]


def test_a_damaged_file_does_not_harm_its_neighbours(smelt: Smelt, tmp_path: Path) -> None:
    write_lines(tmp_path / "orders/a.jsonl", [order(0)])
    (tmp_path / "orders/b.jsonl.gz").write_bytes(gzip.compress(json.dumps(order(1)).encode() * 99)[:60])
    code, found = tried(smelt, "orders")
    assert (code, found["rows"]["silver"]) == (1, 1)
    assert [one["file"] for one in found["refused_files"]] == ["orders/b.jsonl.gz"]
    assert "s3://" not in found["refused_files"][0]["advice"]


def test_a_file_that_grows_is_refused_and_said_to(
    smelt: Smelt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grows = write_lines(tmp_path / "orders/a.jsonl", [order(0)])
    write_lines(tmp_path / "orders/b.jsonl", [order(1, total="heavy")])
    read = FolderLake.open

    def written_before_it_is_read(*arguments: Any) -> Any:
        with grows.open("a") as file:
            file.write("\n")
        return read(*arguments)

    monkeypatch.setattr(FolderLake, "open", written_before_it_is_read)
    code, found = tried(smelt, "orders")
    assert (code, found["complete"], found["rows"]["read"]) == (1, True, 1)
    (refused,) = found["refused_files"]
    assert (refused["file"], "nothing writes to it" in refused["advice"]) == ("orders/a.jsonl", True)
    assert [example["file"] for one in found["refusals"] for example in one["examples"]] == ["orders/b.jsonl"]


@pytest.mark.parametrize("content", [b"", b'{"a": 1}\n', b"{}\n" * 4], ids=["emptied", "cut short", "written anew"])
def test_a_file_that_changes_between_two_reads_is_not_taken_for_whole(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(b'{"a": 12345}')
    os.utime(file, (1, 1))
    source = local_object(file, "orders", datetime.now(UTC))
    stream = FolderLake({source.id: file}, tmp_path / "out").open(source, 0, source.size)
    assert stream.read(4) == b'{"a"'
    file.write_bytes(content)
    with pytest.raises(ObjectGone, match="was changed while it was read"):
        while stream.read(4):
            pass


@pytest.mark.parametrize("command", [("try", "orders"), ("infer", "orders", "--name", "orders")])
def test_a_folder_that_cannot_be_looked_into_is_named_not_left_out(
    smelt: Smelt, tmp_path: Path, closed: Callable[[Path], None], command: tuple[str, ...]
) -> None:
    write_lines(tmp_path / "orders/a.jsonl", [order(0)])
    closed(write_lines(tmp_path / "orders/inner/b.jsonl", [order(1)]).parent)
    code, _, told = smelt(*command)
    assert (code, "orders/inner: Permission denied" in told) == (2, True), told


def test_an_empty_file_has_no_rows_and_nothing_is_wrong(smelt: Smelt, tmp_path: Path) -> None:
    code, found = tried(smelt, write_lines(tmp_path / "orders/a.jsonl", []))
    assert (code, found["rows"]["read"]) == (0, 0)


def test_the_next_trial_replaces_the_last_one_as_a_whole(smelt: Smelt, tmp_path: Path) -> None:
    tried(smelt, write_lines(tmp_path / "orders/a.jsonl", [order(0), order(1, total="x")]), "--out", "out")
    tried(smelt, write_lines(tmp_path / "orders/b.jsonl", [order(2)]), "--out", "out")
    assert [row["order_id"] for row in rows_in(tmp_path / "out")] == ["o2"]
    assert rows_in(tmp_path / "out", "quarantine") == []
    assert sorted(path.name for path in tmp_path.glob("out*")) == ["out"]


def test_a_folder_that_holds_something_else_is_not_replaced(smelt: Smelt, tmp_path: Path) -> None:
    file = write_lines(tmp_path / "orders/a.jsonl", [order(0)])
    code, _, told = smelt("try", file, "--out", "orders")
    assert (code, "would be deleted" in told.replace("\n", " "), file.exists()) == (2, True, True)


def test_files_stay_as_they_are(smelt: Smelt, tmp_path: Path) -> None:
    file = write_lines(tmp_path / "orders/a.jsonl", [order(0)])
    before = file.read_bytes(), file.stat().st_mtime_ns
    tried(smelt, file)
    assert (file.read_bytes(), file.stat().st_mtime_ns) == before


# In a process of its own


def _start(home: Path, *arguments: object, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "workbench.cli", "try", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command, cwd=home, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options
    )


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """So many bad rows that a trial takes some seconds."""
    write_lines(tmp_path / "contracts/orders.yaml", CONTRACT.splitlines())
    return write_lines(tmp_path / "orders/a.jsonl", (order(number, total="x" * 90) for number in range(200_000)))


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_trial_that_is_killed_leaves_nothing_that_the_next_one_trips_over(
    large: Path, tmp_path: Path, smelt: Smelt, jobs: int
) -> None:
    copies = [large.with_name(f"copy-{number}.jsonl") for number in range(4)]  # long after the first lot is written
    for copy in copies:
        copy.hardlink_to(large)
    killed = _start(tmp_path, large, *copies, "--out", "out", "--jobs", jobs)
    await_true(lambda: any(tmp_path.glob("out.running-*/*/*/*/*.parquet")) or killed.poll() is not None)
    assert killed.poll() is None
    killed.kill()
    killed.communicate()
    assert not (tmp_path / "out").exists()
    assert [*tmp_path.glob("out.running-*")]
    small = write_lines(tmp_path / "orders/b.jsonl", [order(0)])
    assert tried(smelt, small, "--out", "out")[0] == 0
    assert sorted(path.name for path in tmp_path.glob("out*")) == ["out"]
    assert len(rows_in(tmp_path / "out")) == 1


@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_ends_a_trial_with_130_and_one_line_and_leaves_nothing(large: Path, tmp_path: Path, jobs: int) -> None:
    running = _start(tmp_path, large, "--out", "out", "--jobs", jobs, start_new_session=True)
    await_true(lambda: any(tmp_path.glob("out.running-*")) or running.poll() is not None)
    os.killpg(running.pid, signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert (running.returncode, out, err) == (130, "", "Interrupted.\n")
    assert [*tmp_path.glob("out*")] == []


def test_a_trial_that_is_going_on_is_not_disturbed(large: Path, tmp_path: Path, smelt: Smelt) -> None:
    running = _start(tmp_path, large, "--out", "out", "--jobs", 1)
    await_true(lambda: any(tmp_path.glob("out.running-*")))
    os.kill(running.pid, signal.SIGSTOP)
    code, _, told = smelt("try", large, "--out", "out")
    assert (code, "another `smelt try` is writing here" in told.replace("\n", " ")) == (2, True)
    running.kill()
    running.communicate()


def test_a_full_disk_ends_it_with_2_and_keeps_the_last_trial(large: Path, tmp_path: Path, smelt: Smelt) -> None:
    small = write_lines(tmp_path / "orders/b.jsonl", [order(0)])
    tried(smelt, small, "--out", "out")
    line = 'ulimit -f 8; trap "" XFSZ; exec "$@"'
    command = [sys.executable, "-m", "workbench.cli", "try", str(large), "--out", "out", "--jobs", "1"]
    done = subprocess.run(
        ["bash", "-c", line, "bash", *command],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
    assert "Free some space" in done.stderr
    assert len(rows_in(tmp_path / "out")) == 1


@pytest.mark.parametrize("name", [b"\xff.jsonl", b"a b#c@1-2%20\n.jsonl", ("é" * 120).encode() + b".jsonl"])
def test_any_name_of_a_file_will_do(smelt: Smelt, tmp_path: Path, name: bytes) -> None:
    folder = tmp_path / "orders" / ("x" * 200) / ("y" * 200) / ("z" * 200) / ("z" * 200) / ("z" * 200)
    write_lines(folder / os.fsdecode(name), [order(0), order(1, total="x")])
    code, found = tried(smelt, "orders")
    assert (code, found["rows"]) == (1, {"read": 2, "silver": 1, "quarantined": 1})
    assert found["refusals"][0]["examples"][0]["line"] == 2
    assert smelt("try", "orders")[0] == 1


def test_what_a_trial_wrote_is_no_input_of_the_next_one(smelt: Smelt, tmp_path: Path) -> None:
    write_lines(tmp_path / "orders/a.jsonl", [order(0)])
    write_lines(tmp_path / "orders/out.running-0123abcd/b.jsonl", [order(1)])  # of a killed trial
    for _ in range(2):
        code, found = tried(smelt, "orders", "--out", "orders/out")
        assert (code, found["files"], found["rows"]["read"]) == (0, 1, 1)


def test_linked_folders_are_tried_once_and_loops_end(smelt: Smelt, tmp_path: Path) -> None:
    write_lines(tmp_path / "orders/a.jsonl", [order(0)])
    write_lines(tmp_path / "elsewhere/b.jsonl", [order(1)])
    (tmp_path / "orders/linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "orders/again").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "orders/loop").symlink_to(tmp_path / "orders")
    assert tried(smelt, "orders", "--dataset", "orders")[1]["rows"]["silver"] == 2


@pytest.mark.parametrize("kind", ["pipe", "dangling", "loop"])
def test_what_is_no_file_in_a_folder_is_named(smelt: Smelt, tmp_path: Path, kind: str) -> None:
    odd = write_lines(tmp_path / "orders/a.jsonl", [order(0)]).with_name("odd.jsonl")
    if kind == "pipe":
        os.mkfifo(odd)
    else:
        odd.symlink_to("nowhere" if kind == "dangling" else odd)
    for command in (["try", "orders"], ["infer", "orders", "--name", "orders"], ["try", "orders/*.jsonl"]):
        code, _, told = smelt(*command)
        assert (code, "odd.jsonl: is a link that leads nowhere" in told, "Traceback" in told) == (2, True, False), told
