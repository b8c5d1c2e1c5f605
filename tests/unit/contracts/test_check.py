"""`smelt contracts check`: what is refused, and what a change between two git revisions breaks."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.ops.cli.app import app
from services.ops.cli.console import execute
from services.ops.contracts.check import check
from services.ops.contracts.findings import CheckError, Level, Report
from services.ops.contracts.number import write_ids
from services.shared.contract.model import ContractError
from tests.unit.contracts.conftest import Change

ROOT = Path(__file__).resolve().parents[3]
MAJOR = ("version: 1.0.0", "version: 2.0.0")
MINOR = ("version: 1.0.0", "version: 1.1.0")


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def committed(write: Change, tmp_path: Path) -> Change:
    """The contract of parcels, committed to a repository; writes changes to it beside that, with ids for new fields."""
    write()
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "Describe parcels")

    def write_numbered(*changes: tuple[str, str], name: str = "parcels.yaml") -> Path:
        file = write(*changes, name=name)
        with suppress(ContractError):  # some are broken on purpose
            write_ids(file)
        return file

    return write_numbered


def told(report: Report) -> list[tuple[Level, str]]:
    return [(finding.level, finding.what) for finding in report.findings]


class TestAFolderByItself:
    @pytest.mark.parametrize("folder", ["contracts", "examples/flights"])
    def test_that_ships_is_accepted_without_findings(self, folder: str) -> None:
        report = check(ROOT / folder)
        assert report.findings == ()
        assert report.accepted
        assert report.datasets

    def test_with_a_broken_contract_is_refused_and_the_others_still_checked(
        self, write: Change, tmp_path: Path
    ) -> None:
        write(("PT6H", "soon"))
        write(("name: parcels", "name: letters"), ("description: When.", "description:"), name="letters.yaml")
        report = check(tmp_path)
        assert not report.accepted
        assert {finding.where for finding in report.findings} == {"parcels.yaml", "letters"}

    def test_that_is_empty_is_refused(self, tmp_path: Path) -> None:
        assert not check(tmp_path).accepted

    @pytest.mark.parametrize(
        ("old", "new", "reason"),
        [
            ("description: When.", "descripton: When.", "at: 'descripton' is not known; is it description?"),
            ("id: test-parcels\n", "", "ODCS schema: $: 'id' is a required property"),
            (
                "    properties:",
                "    quality: all\n    properties:",
                "schema.quality: is a string, not a list",
            ),
            ("description: When.", "description: ", "at: has no description"),
            ("description: One row for each parcel.", "description: ", "the dataset has no description"),
            ("description: When.", "examples: [yesterday]", "at: the example 'yesterday' is not of type timestamp"),
            ("description: Which.", "examples: [1]", "parcel_id: the example 1 is not of type string"),
            ("description: Which.", "examples: [on]", "parcel_id: the example True is not of type string"),
            (
                "    properties:",
                "    quality: [{metric: duplicateValues, mustBe: 0, arguments: {properties: [id]}}]\n    properties:",
                "schema.quality[0]: duplicateValues: 'id' is not a field of the dataset",
            ),
        ],
    )
    def test_is_refused_with_its_reason(self, write: Change, tmp_path: Path, old: str, new: str, reason: str) -> None:
        write((old, new))
        report = check(tmp_path)
        assert not report.accepted
        assert any(reason in finding.what for finding in report.findings), report.findings

    def test_a_file_that_is_not_named_after_its_dataset_is_refused(self, write: Change, tmp_path: Path) -> None:
        write(name="packets.yaml")
        assert "name it parcels.yaml" in check(tmp_path).findings[0].what


CITY = "      - name: city\n        logicalType: string\n        description: Where.\n      - name: tags"

# What is changed in the file, and what it is called.
BREAKING = {
    "removed": (
        "      - name: tags\n        logicalType: array\n        description: What is written on it.\n",
        "",
        "tags: is removed",
    ),
    "renamed": ("name: tags", "name: labels", "tags: is removed"),
    "another type, stored alike": ("logicalType: array", "logicalType: string", "tags: changes from array to string"),
    "fewer digits": ("decimal(8,2)", "decimal(7,2)", "price: narrows from decimal(8,2) to decimal(7,2)"),
    "required": ("logicalType: array", "logicalType: array\n        required: true", "tags: becomes required"),
    "new and required": (
        "      - name: tags",
        CITY.replace("Where.\n", "Where.\n        required: true\n"),
        "city: is new, and required",
    ),
    "another key": (
        "description: When.",
        "primaryKey: true\n        primaryKeyPosition: 2\n        description: When.",
        "the key changes from (parcel_id) to (parcel_id, at)",
    ),
    "a later start": (
        '"2020-01-01"',
        '"2021-01-01"',
        "the window narrows: earliest goes from 2020-01-01 to 2021-01-01",
    ),
    "a nearer end": ("PT6H", "PT5H", "the window narrows: maxAhead goes from 6:00:00 to 5:00:00"),
}


@pytest.mark.parametrize(("old", "new", "what"), BREAKING.values(), ids=BREAKING.keys())
class TestABreakingChange:
    def test_is_refused(self, committed: Change, tmp_path: Path, old: str, new: str, what: str) -> None:
        committed((old, new))
        report = check(tmp_path, "HEAD")
        assert (Level.BREAKING, f"{what} (needs version 2.0.0)") in told(report)
        assert not report.accepted

    def test_is_still_refused_under_a_minor_version(
        self, committed: Change, tmp_path: Path, old: str, new: str, what: str
    ) -> None:
        committed((old, new), MINOR)
        assert not check(tmp_path, "HEAD").accepted

    def test_is_accepted_under_a_major_version(
        self, committed: Change, tmp_path: Path, old: str, new: str, what: str
    ) -> None:
        committed((old, new), MAJOR)
        report = check(tmp_path, "HEAD")
        assert (Level.ANNOUNCED, what) in told(report)
        assert report.accepted


def test_another_event_time_is_breaking(committed: Change, tmp_path: Path) -> None:
    seen = CITY.replace("city", "seen").replace("string", "date").replace("Where.\n", "When.\n        required: true\n")
    committed(("      - name: tags", seen), ("value: at", "value: seen"))
    assert "the event time changes from at to seen (needs version 2.0.0)" in [
        what for _, what in told(check(tmp_path, "HEAD"))
    ]


# What is changed in the file, and why no version allows it: a table has one type for a column.
NEVER = {
    "no decimal any more": ("        physicalType: decimal(8,2)\n", "", "price: changes from decimal(8,2) to number"),
    "fewer places": ("decimal(8,2)", "decimal(8,1)", "price: changes from decimal(8,2) to decimal(8,1)"),
    "more places": ("decimal(8,2)", "decimal(12,4)", "price: changes from decimal(8,2) to decimal(12,4)"),
    "text that was nested": ("logicalType: array", "logicalType: integer", "tags: changes from array to integer"),
}


@pytest.mark.parametrize(("old", "new", "what"), NEVER.values(), ids=NEVER.keys())
def test_another_stored_type_is_refused_under_any_version(
    committed: Change, tmp_path: Path, old: str, new: str, what: str
) -> None:
    committed((old, new), MAJOR)
    report = check(tmp_path, "HEAD")
    advice = "but a column keeps its type; remove the field and add one with another name"
    assert told(report) == [(Level.PROBLEM, f"{what}, {advice}")]
    assert not report.accepted


COMPATIBLE = {
    "new and optional": (
        "      - name: tags",
        CITY,
        "city: is new, and optional",
    ),
    "more digits": ("decimal(8,2)", "decimal(10,2)", "price: widens from decimal(8,2) to decimal(10,2)"),
    "an earlier start": ('"2020-01-01"', '"2019-01-01"', "the window widens"),
    "a later end": ("PT6H", "P1D", "the window widens"),
}


@pytest.mark.parametrize(("old", "new", "what"), COMPATIBLE.values(), ids=COMPATIBLE.keys())
class TestACompatibleChange:
    def test_is_accepted_under_a_minor_version(
        self, committed: Change, tmp_path: Path, old: str, new: str, what: str
    ) -> None:
        committed((old, new), MINOR)
        report = check(tmp_path, "HEAD")
        assert told(report) == [(Level.COMPATIBLE, what)]
        assert report.accepted

    def test_under_the_same_version_is_refused(
        self, committed: Change, tmp_path: Path, old: str, new: str, what: str
    ) -> None:
        committed((old, new))
        report = check(tmp_path, "HEAD")
        assert (Level.PROBLEM, "changed, but its version is still 1.0.0; make it 1.1.0") in told(report)
        assert not report.accepted


class TestAgainstARevision:
    def test_nothing_is_told_where_only_words_changed(self, committed: Change, tmp_path: Path) -> None:
        committed(("description: When.", "description: When it was handed in."))
        assert check(tmp_path, "HEAD").findings == ()

    def test_a_version_that_goes_back_is_refused(self, committed: Change, tmp_path: Path) -> None:
        committed(("version: 1.0.0", "version: 0.9.0"))
        assert told(check(tmp_path, "HEAD")) == [(Level.PROBLEM, "version goes back from 1.0.0 to 0.9.0")]

    def test_a_dataset_that_is_gone_is_breaking(self, committed: Change, tmp_path: Path) -> None:
        committed(("name: parcels", "name: letters"), name="letters.yaml")
        (tmp_path / "parcels.yaml").unlink()
        report = check(tmp_path, "HEAD")
        assert [(finding.where, finding.level) for finding in report.findings] == [("parcels", Level.BREAKING)]
        assert not report.accepted

    def test_a_dataset_that_was_retired_may_go(self, committed: Change, tmp_path: Path) -> None:
        committed(("status: active", "status: retired"))
        git(tmp_path, "commit", "-q", "-a", "-m", "Retire parcels")
        committed(("name: parcels", "name: letters"), name="letters.yaml")
        (tmp_path / "parcels.yaml").unlink()
        assert check(tmp_path, "HEAD").accepted
        assert not check(tmp_path, "HEAD~1").accepted

    def test_a_contract_that_is_broken_now_is_not_called_removed(self, committed: Change, tmp_path: Path) -> None:
        committed(("PT6H", "soon"))
        assert [finding.level for finding in check(tmp_path, "HEAD").findings] == [Level.PROBLEM]

    def test_a_contract_that_was_broken_then_can_be_repaired(self, committed: Change, tmp_path: Path) -> None:
        committed(("PT6H", "soon"))
        git(tmp_path, "commit", "-q", "-a", "-m", "Break parcels")
        committed()
        report = check(tmp_path, "HEAD")
        assert "was not a usable contract at HEAD" in report.findings[0].what
        assert report.accepted

    def test_a_folder_below_the_repository_s_root_is_found(self, write: Change, tmp_path: Path) -> None:
        (tmp_path / "deep").mkdir()
        write(name="deep/parcels.yaml")
        git(tmp_path, "init", "-q")
        git(tmp_path, "add", ".")
        git(tmp_path, "commit", "-q", "-m", "Describe parcels")
        write(("name: tags", "name: labels"), name="deep/parcels.yaml")
        assert not check(tmp_path / "deep", "HEAD").accepted

    @pytest.mark.parametrize("revision", ["nowhere", "--output=oops"])
    def test_an_unknown_revision_is_named(self, committed: Change, tmp_path: Path, revision: str) -> None:
        with pytest.raises(CheckError, match=f"{revision}.*no such revision"):
            check(tmp_path, revision)
        assert not (tmp_path / "oops").exists()


class TestTheCommandLine:
    def test_accepts_with_0_and_shows_the_datasets(self) -> None:
        result = CliRunner().invoke(app, ["contracts", "check", str(ROOT / "contracts")])
        assert result.exit_code == 0
        assert all(name in result.output for name in ("shipments", "tracking_events", "invoice_lines", "accepted"))

    def test_refuses_with_1_and_says_why(self, committed: Change, tmp_path: Path) -> None:
        committed(("name: tags", "name: labels"))
        result = CliRunner().invoke(
            app, ["contracts", "check", str(tmp_path), "--against", "HEAD"], env={"COLUMNS": "200"}
        )
        assert result.exit_code == 1
        assert "tags: is removed" in result.output
        assert "refused" in result.output

    def test_ends_with_2_and_a_sentence_where_git_does_not_know_the_revision(
        self, committed: Change, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert execute(app, ["contracts", "check", str(tmp_path), "--against", "nowhere"]) == 2
        assert "no such revision" in capsys.readouterr().err

    def test_checks_the_folder_contracts_where_none_is_named(self) -> None:
        command = [sys.executable, "-m", "services.ops.cli", "contracts", "check"]
        assert subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == 0


# New keys of a field, and what `--against` calls a change of them.
TAGS = "      - name: tags\n        logicalType: array\n        description: What is written on it.\n"
NESTED = TAGS + "        items:\n          logicalType: object\n          properties:\n"
NESTED += "            - name: sku\n              logicalType: string\n"
SOURCES = {
    "another source": (
        "name: price",
        "name: price\n        physicalName: cost",
        "price: comes from cost, not from price",
    ),
    "another way of writing times": (
        "logicalType: timestamp",
        "logicalType: timestamp\n        logicalTypeOptions: {format: epoch_seconds}",
        "at: is written as epoch_seconds, not as RFC 3339 any more",
    ),
    "inside JSON text": (TAGS, NESTED, "tags.element: is new inside JSON text, where other values were accepted"),
}


@pytest.mark.parametrize(("old", "new", "what"), SOURCES.values(), ids=SOURCES.keys())
def test_what_takes_values_from_elsewhere_or_accepts_fewer_is_breaking(
    committed: Change, tmp_path: Path, old: str, new: str, what: str
) -> None:
    committed((old, new))
    assert any(level is Level.BREAKING and what in told_ for level, told_ in told(check(tmp_path, "HEAD")))


def test_json_text_never_becomes_a_column_of_its_own(committed: Change, tmp_path: Path) -> None:
    committed((TAGS, NESTED.replace("array\n", "array\n        physicalType: array\n")), MAJOR)
    assert any(
        level is Level.PROBLEM and "tags: changes from array to list, but a column keeps its type" in what
        for level, what in told(check(tmp_path, "HEAD"))
    )


class TestAFinding:
    @pytest.mark.parametrize(
        ("old", "new", "line", "what"),
        [
            ("logicalType: timestamp", "logicalTyp: timestamp", 25, "at: 'logicalTyp' is not known; is it logicalT"),
            ("logicalType: array", "logicalType: arry", 38, "tags: logicalType is 'arry'; is it array?"),
            ("decimal(8,2)", "varchar(10)", 35, "price: physicalType is 'varchar(10)', but the column is double"),
            ("value: PT6H", "value: soon", 16, "customProperties.maxAhead: is 'soon'"),
            ('"2020-01-01"', "2020-01-01", 14, '2020-01-01 is a date to YAML; put it in quotes: "2020-01-01"'),
            ("maxAhead", "maxahead", 15, "customProperties.maxahead: is not known; is it maxAhead?"),
            ("value: at", "value: att", 12, "eventTime: is 'att', which is not a field; is it at?"),
            ("description: When.", "unique: true", 26, "at: unique: smelt does not check it in rows"),
            ("description: How much.", "transformLogic: x", 36, "price: transformLogic: smelt runs no code"),
            ("status: active", "status: [", 7, "is not YAML"),
        ],
    )
    def test_names_the_line_and_what_was_probably_meant(
        self, write: Change, old: str, new: str, line: int, what: str
    ) -> None:
        file = write((old, new))
        found = check(file).findings
        assert any(finding.line == line and what in finding.what for finding in found), list(map(str, found))
        assert all(str(finding).startswith(f"{file}:") for finding in found)

    def test_is_told_once_where_the_schema_and_the_loader_see_the_same(self, write: Change) -> None:
        assert len(check(write(('"2020-01-01"', "2020-01-01"))).findings) == 1

    @pytest.mark.parametrize(
        ("old", "new", "what"),
        [
            ("status: active", "status: active\nservers: [{server: a, type: s3, location: s3://b}]", "servers has no"),
            ("    logicalType: object", "    physicalName: t\n    logicalType: object", "physicalName has no effect"),
        ],
    )
    def test_of_words_that_nothing_acts_on_is_a_notice_and_refuses_nothing(
        self, write: Change, old: str, new: str, what: str
    ) -> None:
        report = check(write((old, new)))
        assert [finding.level for finding in report.findings] == [Level.NOTICE]
        assert what in report.findings[0].what
        assert report.accepted


def test_without_jsonschema_a_notice_says_so(write: Change, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.ops.contracts.check._validator", lambda: None)
    report = check(write())
    assert report.accepted
    assert "jsonschema is not installed" in report.findings[0].what


def test_a_contract_in_a_subfolder_is_said_not_to_be_read(write: Change, tmp_path: Path) -> None:
    write()
    (tmp_path / "finance").mkdir()
    (tmp_path / "parcels.yaml").rename(tmp_path / "finance" / "parcels.yaml")
    write()
    (finding,) = check(tmp_path).findings
    assert (finding.where, finding.level) == ("finance/parcels.yaml", Level.NOTICE)
    assert finding.what == f"is not read: contracts are the files of {tmp_path} itself. To use it, move it there"


def test_a_path_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckError, match="no such file or folder"):
        check(tmp_path / "nowhere")


def test_findings_as_json_have_their_lines(write: Change) -> None:
    file = write(("logicalType: array", "logicalType: arry"))
    result = CliRunner().invoke(app, ["contracts", "check", str(file), "--json"])
    assert result.exit_code == 1
    assert [finding["line"] for finding in json.loads(result.output)["findings"]] == [38]


def test_a_file_that_is_no_contract_is_one_finding_on_one_line() -> None:
    result = CliRunner().invoke(app, ["contracts", "check", str(ROOT / "README.md")])
    assert result.exit_code == 1
    (line, verdict) = result.output.splitlines()
    assert "README.md:3: problem: " in line
    assert verdict == "refused"


# Rows inside of an envelope.
ROWS = "      - {property: rowsPath, value: $.Records}\n"
KEPT = "      - {property: envelopeFields, value: {price: $.meta.price}}\n"
AHEAD = "      - property: maxAhead"


@pytest.mark.parametrize(
    ("before", "after", "what"),
    [
        ("", ROWS, "rowsPath: rows are at $.Records, not whole documents any more"),
        (ROWS, "", "rowsPath: rows are whole documents, not at $.Records any more"),
        (ROWS, ROWS.replace("Records", "data.items"), "rowsPath: rows are at $.data.items, not at $.Records any more"),
        (ROWS + KEPT, ROWS, "envelopeFields.price: is removed"),
        (
            ROWS + KEPT,
            ROWS + KEPT.replace("meta.", ""),
            "envelopeFields.price: comes from $.price, not from $.meta.price any more",
        ),
    ],
)
def test_other_rows_and_other_values_of_their_envelope_are_breaking(
    write: Change, tmp_path: Path, before: str, after: str, what: str
) -> None:
    write((AHEAD, before + AHEAD))
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "Describe parcels")
    write((AHEAD, after + AHEAD))
    assert told(check(tmp_path, "HEAD")) == [(Level.BREAKING, f"{what} (needs version 2.0.0)")]
    write((AHEAD, after + AHEAD), MAJOR)
    assert told(check(tmp_path, "HEAD")) == [(Level.ANNOUNCED, what)]


def test_another_value_of_the_envelope_needs_a_minor_version(write: Change, tmp_path: Path) -> None:
    write((AHEAD, ROWS + AHEAD))
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "Describe parcels")
    write((AHEAD, ROWS + KEPT + AHEAD), MINOR)
    what = "envelopeFields.price: is new; a row that has this key itself is rejected as duplicate_key"
    assert told(check(tmp_path, "HEAD")) == [(Level.COMPATIBLE, what)]
    write((AHEAD, ROWS + KEPT + AHEAD))
    assert not check(tmp_path, "HEAD").accepted


def test_a_value_of_the_envelope_that_no_field_reads_is_announced_with_its_line(write: Change, tmp_path: Path) -> None:
    file = write((AHEAD, ROWS + KEPT.replace("{price:", "{price: $.price, region:") + AHEAD))
    (finding,) = check(tmp_path).findings
    assert (finding.level, check(tmp_path).accepted) == (Level.NOTICE, True)
    assert (
        finding.what == "envelopeFields.region: no field reads the key region, so each row keeps the value in _rescued"
    )
    assert finding.line is not None
    assert "envelopeFields" in file.read_text().splitlines()[finding.line - 1]


def test_levels_inside_of_levels_are_validated_one_by_one(write: Change) -> None:
    """Validated as a whole, ten levels took minutes."""
    inside = "".join(
        f"{' ' * (6 + 4 * at)}- name: inner\n{' ' * (8 + 4 * at)}logicalType: object\n{' ' * (8 + 4 * at)}properties:\n"
        for at in range(15)
    )
    leaf = f"{' ' * 66}- {{name: leaf, logicalType: string, businessName: 5}}\n"
    file = write(("    properties:\n", f"    properties:\n{inside}{leaf}"))
    write_ids(file)
    started = time.monotonic()
    problems = [what for level, what in told(check(file)) if level is Level.PROBLEM and "ODCS" in what]
    assert time.monotonic() - started < 30
    path = "$.schema[0].properties[0]" + ".properties[0]" * 15
    assert f"ODCS schema: {path}.businessName: 5 is not of type 'string'" in problems


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a: &a [*a]", "nested more than 100 levels deep"),
        ("a: " + "[" * 900 + "]" * 900, "nested more than 100 levels deep"),
        ("a: " + "[" * 9000 + "]" * 9000, "nested more than 100 levels deep"),
        ("".join(f"{at}: &a{at} [{', '.join([f'*a{at - 1}'] * 9) if at else 1}]\n" for at in range(10)), "aliases"),
    ],
)
def test_a_file_that_is_made_to_take_for_ever_is_refused_at_once(tmp_path: Path, text: str, what: str) -> None:
    file = tmp_path / "parcels.yaml"
    file.write_text(text)
    ((level, said),) = told(check(file))
    assert (level, what in said) == (Level.PROBLEM, True), said


def test_a_dataset_without_a_key_is_accepted_and_told_what_that_means(write: Change) -> None:
    report = check(write(("        primaryKey: true\n", "")))
    assert report.accepted
    assert [(level, what[:40]) for level, what in told(report)] == [
        (Level.NOTICE, "schema.properties: no field has primaryK")
    ]
