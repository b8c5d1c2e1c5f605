"""`smelt contracts number`: it adds lines and changes nothing else."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.ops.cli.app import app
from services.ops.cli.console import execute
from services.ops.contracts.number import write_ids
from services.shared.contract.loader import load_contract
from services.shared.contract.model import ContractError, field_ids
from tests.unit.contracts.conftest import PARCELS, Change

REGISTRY = """\
      - property: fieldIds
        value:
          at: 5
          parcel_id: 6
          price: 7
          tags: 8
"""
CITY = "      - name: tags", "      - name: city\n        logicalType: string\n      - name: tags"
ALL = {"at": 5, "parcel_id": 6, "price": 7, "tags": 8}


def added(before: str, file: Path) -> list[str]:
    """The lines that the file has beyond its earlier text; all others must be as they were, and in their order."""
    lines, rest = [], iter(before.splitlines(keepends=True))
    expected = next(rest, None)
    for line in file.read_bytes().decode().splitlines(keepends=True):
        if line == expected:
            expected = next(rest, None)
        else:
            lines.append(line)
    assert expected is None, f"{expected!r} has changed"
    return lines


def test_a_new_contract_gets_all_ids(write: Change) -> None:
    file = write((REGISTRY, ""))
    before = file.read_text("utf-8")
    assert write_ids(file) == ALL
    assert field_ids(load_contract(file)) == ALL
    assert [line.split("#")[0].rstrip() for line in added(before, file)] == REGISTRY.splitlines()


def test_a_new_field_gets_the_next_id_wherever_it_stands(write: Change) -> None:
    file = write(CITY)
    before = file.read_text("utf-8")
    assert write_ids(file) == {"city": 9}
    assert added(before, file) == ["          city: 9\n"]
    assert [field.id for field in load_contract(file).fields] == [5, 6, 7, 9, 8]


def test_ids_of_earlier_fields_are_not_given_again(write: Change) -> None:
    assert write_ids(write(CITY, ("tags: 8\n", "tags: 8\n          labels: 20\n"))) == {"city": 21}


def test_a_renamed_field_gets_an_id_of_its_own(write: Change) -> None:
    file = write(("name: tags", "name: labels"))
    assert write_ids(file) == {"labels": 9}
    assert load_contract(file).retired == (("tags", 8),)


def test_a_file_with_all_ids_stays_as_it_is(write: Change) -> None:
    file = write()
    before = file.stat().st_mtime_ns
    assert write_ids(file) == {}
    assert file.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(("tags: 8\n", "tags: 8 # the last one\n# not indented\n\n"), id="comments behind the ids"),
        pytest.param(("tags: 8\n", "'tags': !!int 8\n"), id="quotes and tags"),
        pytest.param((REGISTRY, ""), id="no ids yet"),
        pytest.param((REGISTRY, "      # the end\n"), id="no ids yet, and a comment"),
        pytest.param(
            (REGISTRY, REGISTRY + "        description: |\n          As a block.\n\n"), id="text behind the ids"
        ),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_comments_and_formatting_stay(write: Change, change: tuple[str, str], newline: str) -> None:
    file = write(change, CITY)
    file.write_bytes(file.read_bytes().replace(b"\n", newline.encode()))
    before = file.read_bytes().decode()
    fresh = write_ids(file)
    assert "city" in fresh
    assert all(line.endswith(newline) for line in added(before, file))
    assert field_ids(load_contract(file))["city"] == fresh["city"]


def test_the_last_line_may_lack_its_end(tmp_path: Path) -> None:
    head, rest = PARCELS.split("    customProperties:\n")
    custom, properties = rest.split("    properties:\n")
    file = tmp_path / "parcels.yaml"
    text = (
        head + "    properties:\n" + properties + "    customProperties:\n" + custom.replace(REGISTRY, "").rstrip("\n")
    )
    file.write_text(text, "utf-8")
    assert write_ids(file) == ALL
    assert file.read_text("utf-8").startswith(text + "\n      - property: fieldIds")


def test_a_name_that_yaml_reads_as_something_else_is_quoted(write: Change) -> None:
    file = write((CITY[0], CITY[1].replace("city", '"on"')))
    assert write_ids(file) == {"on": 9}
    assert load_contract(file).fields[3].name == "on"


@pytest.mark.parametrize(
    "change",
    [
        (
            "value:\n          at: 5\n          parcel_id: 6\n          price: 7\n          tags: 8",
            "value: {at: 5, price: 7}",
        ),
        ("value:\n          at: 5\n          parcel_id: 6\n          price: 7\n          tags: 8", "value:"),
    ],
)
def test_a_layout_without_lines_is_left_alone_and_the_lines_to_write_are_shown(
    write: Change, change: tuple[str, str]
) -> None:
    file = write(change)
    before = file.read_bytes()
    with pytest.raises(ContractError, match=r"cannot be added(.|\n)*parcel_id: "):
        write_ids(file)
    assert file.read_bytes() == before


def test_a_contract_that_is_broken_otherwise_is_refused_and_left_alone(write: Change) -> None:
    file = write((REGISTRY, ""), ("PT6H", "soon"))
    before = file.read_bytes()
    with pytest.raises(ContractError, match="maxAhead"):
        write_ids(file)
    assert file.read_bytes() == before


class TestTheCommand:
    def test_numbers_files_and_says_what_it_wrote(self, write: Change) -> None:
        file, other = write(CITY), write(name="other.yaml")
        result = CliRunner().invoke(app, ["contracts", "number", str(file), str(other)])
        assert result.exit_code == 0
        assert f"{file}: city: 9" in result.output
        assert f"{other}: every field has its id" in result.output

    def test_ends_with_2_and_a_sentence_for_a_broken_file(
        self, write: Change, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert execute(app, ["contracts", "number", str(write(("PT6H", "soon")))]) == 2
        assert "maxAhead" in capsys.readouterr().err


def test_the_last_id_is_the_last(write: Change) -> None:
    file = write(CITY, ("tags: 8\n", "tags: 8\n          labels: 9999\n"))
    before = file.read_bytes()
    with pytest.raises(ContractError, match="no ids are left for city: the next would be 10000, and 9999 is the last"):
        write_ids(file)
    assert file.read_bytes() == before


def test_a_full_disk_leaves_the_contract_as_it_was(write: Change) -> None:
    """A limit on the size of files stops the write in its middle, as a full disk does."""
    file = write(CITY)
    before = file.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            write_ids(file)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert file.read_bytes() == before
    assert [one.name for one in file.parent.iterdir() if one.name.startswith(".")] == []


def test_a_link_to_a_contract_stays_a_link(write: Change, tmp_path: Path) -> None:
    file = write(CITY)
    file.chmod(0o640)
    link = tmp_path / "link.yaml"
    link.symlink_to(file)
    assert write_ids(link) == {"city": 9}
    assert link.is_symlink() and file.stat().st_mode & 0o777 == 0o640 and load_contract(file).fields[3].id == 9
