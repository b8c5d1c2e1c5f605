"""The folder of a trial: nothing is deleted that no trial wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.ops.errors import OperatorError
from tests.unit.workbench.conftest import Smelt, order, write_lines
from workbench.trial.place import new_place


def _trial_in(smelt: Smelt, tmp_path: Path) -> tuple[Path, Path]:
    file = write_lines(tmp_path / "orders/a.jsonl", [order(0)])
    assert smelt("try", file, "--out", "out")[0] == 0
    return file, tmp_path / "out"


@pytest.mark.parametrize(
    "theirs", ["notes.txt", "silver/orders/mine.csv", "contracts/draft.txt", "more/a.jsonl", ".env", "quarantine"]
)
def test_what_a_user_puts_into_the_folder_of_a_trial_is_not_deleted(smelt: Smelt, tmp_path: Path, theirs: str) -> None:
    file, out = _trial_in(smelt, tmp_path)
    write_lines(out / theirs, ["precious"])
    code, _, told = smelt("try", file, "--out", "out")
    assert (code, "was not written by" in told.replace("\n", " "), (out / theirs).read_text()) == (
        2,
        True,
        "precious\n",
    )
    (out / theirs).unlink()
    (out / "more").rmdir() if (out / "more").exists() else None
    (out / ".DS_Store").touch()
    assert smelt("try", file, "--out", "out")[0] == 0


def test_a_file_inside_of_the_folder_that_is_replaced_is_not_tried_and_lost(smelt: Smelt, tmp_path: Path) -> None:
    _, out = _trial_in(smelt, tmp_path)
    inside = write_lines(out / "a.jsonl", [order(0)])
    assert (smelt("try", inside, "--dataset", "orders", "--out", "out")[0], inside.exists()) == (2, True)


@pytest.mark.parametrize("theirs", ["out/account.json", "out.previous/account.json", "out.previous/a.txt"])
def test_folders_that_only_look_like_those_of_a_trial_are_not_deleted(
    smelt: Smelt, tmp_path: Path, theirs: str
) -> None:
    file = write_lines(tmp_path / "orders/a.jsonl", [order(0)])
    precious = write_lines(tmp_path / theirs, ['{"balance": 5}'])
    assert (smelt("try", file, "--out", "out")[0], precious.exists()) == (2, True)


def test_a_link_to_a_folder_elsewhere_stays_and_that_folder_is_replaced(smelt: Smelt, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    (tmp_path / "out").symlink_to(disk)
    for _ in range(2):
        _, out = _trial_in(smelt, tmp_path)
        assert out.is_symlink()
        assert (disk / "account.json").is_file()
    assert sorted(entry.name for entry in tmp_path.iterdir() if entry.name.startswith(("out", "disk"))) == [
        "disk",
        "out",
    ]


def test_a_disk_cannot_be_replaced_and_nothing_is_tried(
    smelt: Smelt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_lines(tmp_path / "orders/a.jsonl", [order(0)])
    (tmp_path / "out").mkdir()
    monkeypatch.setattr("os.path.ismount", lambda path: str(path) == str(tmp_path / "out"))
    code, _, told = smelt("try", file, "--out", "out")
    assert (code, "out/try" in told.replace("\n", ""), [*(tmp_path / "out").iterdir()]) == (2, True, [])


def test_a_folder_beside_it_that_no_trial_is_called_is_left_alone(smelt: Smelt, tmp_path: Path) -> None:
    precious = write_lines(tmp_path / "out.running-shoes/prices.csv", ["precious"])
    _trial_in(smelt, tmp_path)
    assert precious.exists()


def test_a_last_trial_that_was_being_deleted_is_deleted_by_the_next(
    smelt: Smelt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, out = _trial_in(smelt, tmp_path)

    def killed(folder: Path, **_: object) -> None:
        if (folder / "account.json").exists():
            (folder / "account.json").unlink()
            raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("workbench.trial.place.shutil.rmtree", killed)
        with new_place(out) as place:
            (place.folder / "account.json").write_text((out / "account.json").read_text())
            place.keep()
    assert smelt("try", file, "--out", "out")[0] == 0
    assert sorted(path.name for path in tmp_path.glob("out*")) == ["out"]


def test_a_user_s_file_that_comes_while_a_trial_goes_on_is_kept(smelt: Smelt, tmp_path: Path) -> None:
    _, out = _trial_in(smelt, tmp_path)
    with pytest.raises(OperatorError, match="was not written by"), new_place(out) as place:
        theirs = write_lines(out / "notes.txt", ["precious"])
        place.keep()
    assert theirs.exists()
