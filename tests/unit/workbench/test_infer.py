"""`smelt infer`: what it writes is a valid contract that accepts every row of its sample."""

from __future__ import annotations

import gzip
import json
import tempfile
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.shared.contract.loader import load_contract
from services.shared.contract.model import Field
from services.shared.contract.quality import AllowedValues
from tests.unit.workbench.conftest import Smelt, order, write_lines
from workbench.infer.document import quoted
from workbench.infer.draft import column_name
from workbench.infer.infer import Inferred, infer, rows_elsewhere
from workbench.trial.inputs import Input
from workbench.trial.trial import run_trial


def inferred(tmp_path: Path, made: list[Any], **options: Any) -> Inferred:
    return infer([write_lines(tmp_path / "rows.jsonl", made)], "orders", **options)


def field_of(found: Inferred, name: str) -> Field:
    return next(field for field in found.contract.fields if field.name == name)


def types_of(found: Inferred) -> dict[str, str]:
    return {field.name: field.type.value for field in found.contract.fields}


# The round trip


_KEYS = st.sampled_from(
    ["a", "b2", "order", "Name", "orderTotal", "dt", "é", "x y", "", "on", "null", "user_id", "created_at", "$x"]
)
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.integers(0, 3),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(["", "1", "true", "2026-01-31", "2026-02-30", "2026-01-31T08:00:00+02:00", "2026-01-31 08:00:60"]),
    st.sampled_from(["1534359560", "1534359560.000123", "1534359560123", "0123456789", "1534359560."]),
    st.dates(date(1990, 1, 1), date(2030, 1, 1)).map(date.isoformat),
    st.datetimes(datetime(1990, 1, 1), datetime(2030, 1, 1)).map(lambda moment: f"{moment.isoformat()}Z"),
)
_VALUES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3), max_leaves=6
)
_ROWS = st.lists(
    st.tuples(
        st.dictionaries(_KEYS, _VALUES, max_size=6),
        st.datetimes(datetime(1990, 1, 1), datetime(2030, 1, 1)),
        st.booleans(),
    ).map(
        lambda made: made[0] | {"at": f"{made[1].isoformat()}Z"} | ({"record_type": "orders"} if made[2] else {}),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_ROWS, st.booleans())
def test_what_is_inferred_is_valid_and_accepts_every_row(rows: list[Any], allowed: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        file = write_lines(home / "rows.jsonl", rows)
        found = infer([file], "orders", allowed_values=allowed)
        contract = write_lines(home / "contracts/orders.yaml", found.text.splitlines())
        account = run_trial([Input(file, "orders")], {"orders": load_contract(contract)}, home / "out", jobs=1)
    assert (account.silver, account.quarantined, account.refused_files) == (len(rows), 0, [])


def test_infer_then_check_then_try_as_commands(smelt: Smelt, tmp_path: Path) -> None:
    file = write_lines(tmp_path / "parcels.jsonl", map(order, range(30)))
    code, out, told = smelt("infer", file, "--name", "parcels", "--out", "contracts/parcels.yaml")
    assert (code, out) == (0, "")
    assert f"smelt try {file} --contract contracts/parcels.yaml" in told.replace("\n", " ")
    assert smelt("contracts", "check", "contracts")[0] == 0
    assert smelt("try", file, "--dataset", "parcels")[0] == 0


def test_keys_that_are_words_of_sql_are_columns_and_not_a_crash(tmp_path: Path) -> None:
    made = [{"at": "2026-01-01T00:00:00Z", "order": n, "select": "x", "end": 1, "user": "u"} for n in range(5)]
    assert types_of(inferred(tmp_path, made)).keys() >= {"order", "select", "end", "user"}


@pytest.mark.parametrize("name", ["silver", "quarantine", "load_history"])
def test_the_names_of_our_tables_are_refused(smelt: Smelt, tmp_path: Path, name: str) -> None:
    code, _, told = smelt("infer", write_lines(tmp_path / "a.jsonl", [order(1)]), "--name", name)
    assert (code, "is the name of a table of ours" in told) == (2, True)


def test_a_code_is_rather_the_key_than_a_name_and_a_name_than_a_measure(tmp_path: Path) -> None:
    isles = [{"people": n * 1000, "name": f"Isle No. {n}", "alpha_3": f"I{n:02d}"} for n in range(20)]
    assert inferred(tmp_path, isles).contract.keys == ("alpha_3",)
    unknown = [{"people": isle["people"], "name": isle["name"]} for isle in isles]
    assert inferred(tmp_path, unknown).contract.keys == ("name",)


def test_documents_whose_keys_are_data_say_so(smelt: Smelt, tmp_path: Path) -> None:
    many = {f"package{n}": [{"advisory": "x", "id": n}] for n in range(50)}
    (tmp_path / "map.json").write_text(json.dumps(many))
    code, _, told = smelt("infer", tmp_path / "map.json", "--name", "advisories")
    assert code == 2
    assert "50 arrays of objects, such as $.package0: its keys seem to be data" in " ".join(told.split())
    (tmp_path / "deep.json").write_text(json.dumps({"aws": {"ecs": {"ami-1": {"value": 1}}}}))
    code, _, told = smelt("infer", tmp_path / "deep.json", "--name", "images")
    assert (code, "The rows have the keys aws (object)" in " ".join(told.split())) == (2, True)


# Types


@pytest.mark.parametrize(
    ("values", "type_"),
    [
        ([1, 2], "integer"),
        ([1, 2.5], "number"),
        ([2**63, 1], "decimal"),
        ([True, False], "boolean"),
        (["a", "1"], "string"),
        (["2026-01-31", "2026-02-01"], "date"),
        (["2026-01-31T08:00:00Z", "2026-01-31 08:00:00.123456789+02:00"], "timestamp"),
        (["2026-01-31T08:00:00Z", "2026-01-31"], "string"),
        (["2026-02-30"], "string"),
        ([[1], []], "array"),
        ([{"a": 1}, {}], "object"),
        ([1, "1"], None),
        ([1.5, 2**60], None),
        ([10**40], None),
        ([None], None),
    ],
)
def test_a_type_takes_all_values_or_the_key_is_no_column(tmp_path: Path, values: list[Any], type_: str | None) -> None:
    found = inferred(tmp_path, [order(at, value=value) for at, value in enumerate(values)])
    assert types_of(found).get("value") == type_
    assert ("value" in found.findings.drafts.left_out) is (type_ is None)


def test_a_field_that_every_row_has_is_required(tmp_path: Path) -> None:
    rows = [order(0, often=1, null=1), order(1, null=None)]
    fields = {field.name: field.required for field in inferred(tmp_path, rows).contract.fields}
    assert fields == {"at": True, "order_id": True, "total": True, "often": False, "null": False}


def test_what_is_nested_is_described(tmp_path: Path) -> None:
    rows = [
        order(at, user={"Name": "x", "age": at or None}, lines=[{"sku": "a", "n": 1}, {"sku": "b"}]) for at in (0, 1)
    ]
    found = inferred(tmp_path, rows)
    name, age = field_of(found, "user").children
    assert (name.name, name.type, name.required) == ("Name", "string", True)
    assert (age.type, age.required) == ("integer", False)
    (element,) = field_of(found, "lines").children
    assert [(child.name, child.type, child.required) for child in element.children] == [
        ("sku", "string", True),
        ("n", "integer", False),
    ]


def test_an_object_whose_keys_are_data_is_not_described(tmp_path: Path) -> None:
    rows = [order(at, by_day={f"d{at}_{number}": number for number in range(20)}) for at in range(20)]
    assert field_of(inferred(tmp_path, rows), "by_day").children == ()


# Comments


UNITS = [(1, "seconds"), (10**3, "milliseconds"), (10**6, "microseconds"), (10**9, "nanoseconds")]
JANUARY = int(datetime(2026, 1, 31, tzinfo=UTC).timestamp())


@pytest.mark.parametrize(("factor", "unit"), UNITS)
def test_integers_that_may_be_times_are_noted(tmp_path: Path, factor: int, unit: str) -> None:
    text = inferred(tmp_path, [order(at, weight=(JANUARY + at) * factor) for at in range(3)]).text
    assert f"these integers may be {unit} since 1970: 2026-01-31T00:00:00Z to 2026-01-31T00:00:02Z" in text


@pytest.mark.parametrize(("factor", "unit"), UNITS[:3])
def test_integers_that_may_be_times_under_the_name_of_one_are_read_as_such(
    tmp_path: Path, factor: int, unit: str
) -> None:
    rows = [{"id": at, "createdAt": (JANUARY + at) * factor} for at in range(3)]
    found = inferred(tmp_path, rows)
    assert (types_of(found), found.contract.event_time) == ({"id": "integer", "created_at": "timestamp"}, "created_at")
    assert field_of(found, "created_at").time.pattern == f"epoch_{unit}"
    assert f"these integers are read as {unit} since 1970: 2026-01-31T00:00:00Z" in found.text
    assert "createdAt" not in found.findings.drafts.left_out


@pytest.mark.parametrize("key", ["time_id", "event", "weight"])
def test_numbers_that_identify_something_are_not_read_as_times(tmp_path: Path, key: str) -> None:
    found = inferred(tmp_path, [order(at, **{key: JANUARY + at}) for at in range(3)])
    assert types_of(found)[key] == "integer"


def test_strings_that_are_few_are_listed_only_on_request(tmp_path: Path) -> None:
    rows = [order(number, carrier=("DHL", "on", "é: #")[number % 3]) for number in range(60)]
    assert "validValues" not in inferred(tmp_path, rows).text
    (rule,) = inferred(tmp_path, rows, allowed_values=True).contract.quality
    assert isinstance(rule, AllowedValues)
    assert (rule.field, sorted(map(str, rule.values))) == ("carrier", ["DHL", "on", "é: #"])


# When, and which


def test_the_event_time_is_the_most_likely_one_and_the_others_are_named(tmp_path: Path) -> None:
    rows = [
        {
            "birth_date": "1990-01-01",
            "updated_at": "2026-01-03T00:00:00Z",
            "created_at": "2026-01-02T00:00:00Z",
            "id": at,
        }
        for at in range(3)
    ]
    found = inferred(tmp_path, rows)
    assert found.contract.event_time == "created_at"
    assert [one.name for one in found.findings.event_time.others] == ["updated_at", "birth_date"]


def test_the_window_takes_times_long_ago_and_ahead(tmp_path: Path) -> None:
    found = inferred(tmp_path, [{"at": "1931-05-05", "id": 1}, {"at": f"{datetime.now(UTC).year + 2}-01-01", "id": 2}])
    assert found.contract.earliest == datetime(1931, 1, 1, tzinfo=UTC)
    assert found.contract.max_ahead.days > 365


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([{"id": 1, "size": 5}, {"id": 2}], "no field is a time"),
        ([{"id": 1}, {"id": 2, "seen_at": "2026-01-01T00:00:00Z"}], "seen_at in 1 of 2 rows"),
        ([{"id": 1, "ts": None}, {"id": 2, "ts": 1767225600000}], "ts in 1 of 2 rows"),
    ],
)
def test_rows_without_a_time_happened_when_their_file_was_created(
    smelt: Smelt, tmp_path: Path, rows: list[Any], why: str
) -> None:
    file = write_lines(tmp_path / "a.jsonl", rows)
    code, _, told = smelt("infer", file, "--name", "visits", "--out", "contracts/visits.yaml")
    assert (code, why in " ".join(told.split())) == (0, True)
    contract = load_contract(tmp_path / "contracts/visits.yaml")
    assert (contract.event_time, contract.keys) == ("_created", ("id",))
    assert smelt("contracts", "check", "contracts")[0] == 0
    assert smelt("try", file, "--dataset", "visits")[0] == 0


def test_rows_that_nothing_identifies_have_no_key_so_that_compaction_keeps_them(smelt: Smelt, tmp_path: Path) -> None:
    file = write_lines(tmp_path / "a.jsonl", [{"x": 0.5, "kind": "a"}, {"x": 1.5, "kind": "a"}])
    code, _, told = smelt("infer", file, "--name", "visits", "--out", "contracts/visits.yaml")
    assert (code, "No key: nothing identifies the rows" in " ".join(told.split())) == (0, True)
    assert load_contract(tmp_path / "contracts/visits.yaml").keys == ()
    assert "# No key:" in (tmp_path / "contracts/visits.yaml").read_text()
    assert smelt("contracts", "check", "contracts")[0] == 0
    assert smelt("try", file, "--dataset", "visits")[0] == 0


def test_a_key_that_is_a_time_alone_is_warned_of(smelt: Smelt, tmp_path: Path) -> None:
    file = write_lines(tmp_path / "a.jsonl", [{"ts": JANUARY + at / 4, "kind": "a"} for at in range(3)])
    code, out, told = smelt("infer", file, "--name", "logs")
    assert (code, "The key is a time alone, ts" in " ".join(told.split())) == (0, True)
    assert "# Of rows of the same time, compaction keeps one" in out


def test_times_that_silver_does_not_tell_apart_are_no_key(tmp_path: Path) -> None:
    rows = [{"at": f"2026-01-01T00:00:00.123456{at}00Z", "kind": "a"} for at in range(3)]
    assert inferred(tmp_path, rows).contract.keys == ()


def test_seconds_with_a_fraction_are_a_time(tmp_path: Path) -> None:
    found = inferred(tmp_path, [{"id": at, "ts": JANUARY + at / 8, "weight": JANUARY + at / 8} for at in range(3)])
    assert types_of(found) == {"id": "integer", "ts": "timestamp", "weight": "number"}
    assert (found.contract.event_time, field_of(found, "ts").time.pattern) == ("ts", "epoch_seconds")
    assert "these numbers are read as seconds since 1970" in found.text
    assert "these numbers may be seconds since 1970" in found.text


def test_times_inside_of_things_are_named_where_no_other_field_is_the_event_time(tmp_path: Path) -> None:
    rows = [
        {"n": at, "pull": {"created_at": "2026-01-01T00:00:00Z", "head": {"pushed_ms": (JANUARY + at) * 1000}}}
        for at in range(9)
    ]
    found = inferred(tmp_path, rows)
    assert found.contract.event_time == "_created"
    assert [one.called for one in found.findings.event_time.others] == ["$.pull.created_at"]
    assert '# could be it, as a required timestamp with physicalName "$.pull.created_at": timestamps' in found.text


def test_a_page_without_rows_does_not_hide_the_array_of_the_others(tmp_path: Path) -> None:
    pages = [[{"id": f"r{page}{at}"} for at in range(3)] for page in range(2)]
    files = [tmp_path / f"{number}.json" for number in range(3)]
    for file, rows in zip(files, [*pages, []], strict=True):
        file.write_text(json.dumps({"done": not rows, "records": rows}))
    assert infer(files, "things").contract.rows_path == ("records",)


def test_the_longest_of_several_arrays_is_suggested_as_the_rows(tmp_path: Path) -> None:
    made = {"id": "b", "at": "2026-01-01T00:00:00Z", "link": [{"url": "x"}], "entry": [{"id": "1"}, {"id": "2"}]}
    file = tmp_path / "bundle.json"
    file.write_text(json.dumps(made))
    told = rows_elsewhere(infer([file], "bundles").sample)
    assert told.endswith("arrays of objects: $.entry (2), $.link (1). If those are the rows: --rows-path '$.entry'.")


def test_the_time_and_the_key_of_a_change_event_are_found_inside_of_it(tmp_path: Path) -> None:
    rows = [{"schema": {}, "payload": {"op": "u", "ts_ms": (JANUARY + at) * 1000, "id": f"e{at}"}} for at in range(9)]
    found = inferred(tmp_path, rows)
    contract = found.contract
    assert (contract.event_time, contract.keys) == ("payload_ts_ms", ("payload_id",))
    assert [field_of(found, name).source for name in ("payload_ts_ms", "payload_id")] == [
        ("payload", "ts_ms"),
        ("payload", "id"),
    ]


def test_types_that_are_objects_hold_the_time_and_the_key(tmp_path: Path) -> None:
    rows = [
        {
            "_id": {"$oid": f"{at:024x}"},
            "at": {"$date": {"$numberLong": str((JANUARY + at) * 1000)}},
            "n": {"$x": f"v{at}"},
        }
        for at in range(9)
    ]
    found = inferred(tmp_path, rows)
    assert (found.contract.event_time, found.contract.keys) == ("at_date_number_long", ("id_oid",))


def test_a_time_of_a_thing_in_the_row_is_not_the_rows(tmp_path: Path) -> None:
    found = inferred(tmp_path, [{"id": at, "repo": {"created_at": "2026-01-01T00:00:00Z"}} for at in range(3)])
    assert found.contract.event_time == "_created"


def test_rows_of_several_kinds_in_one_file_are_named(smelt: Smelt, tmp_path: Path) -> None:
    rows: list[Any] = [{"index": {"_id": "1"}}, {"at": "2026-01-01T00:00:00Z", "x": 1}] * 3
    told = " ".join(smelt("infer", write_lines(tmp_path / "a.jsonl", rows), "--name", "bulk")[2].split())
    assert "rows of several kinds share a file: index in 3 of 6, at in 3 of 6, x in 3 of 6" in told


@pytest.mark.parametrize(
    ("rows", "key"),
    [
        ([{"n": 1, "order_id": "a"}, {"n": 2, "order_id": "b"}], ("order_id",)),
        (
            [{"order_id": "a", "line": 1}, {"order_id": "a", "line": 2}, {"order_id": "b", "line": 1}],
            ("order_id", "line"),
        ),
        ([{"x": "a"}, {"x": "a"}], ()),
    ],
)
def test_the_key_is_what_is_unique_in_the_sample(tmp_path: Path, rows: list[Any], key: tuple[str, ...]) -> None:
    found = inferred(tmp_path, [{"at": "2026-01-01T00:00:00Z"} | row for row in rows])
    assert found.contract.keys == key


# Samples


def test_rows_of_other_datasets_and_rows_that_are_not_json_are_counted_and_passed_over(tmp_path: Path) -> None:
    rows = [order(0), order(1, record_type="returns", reason="x"), "{broken", "[1]", '{"a": 1, "a": 2}']
    found = inferred(tmp_path, rows)
    assert (found.sample.others, found.sample.unusable, found.findings.rows) == ({"returns": 1}, 3, 1)
    assert "reason" not in types_of(found)


def test_the_sample_of_a_large_file_comes_from_all_over_it(tmp_path: Path) -> None:
    rows = [order(number, note="x" * 2000, **({"late": 1} if number > 8000 else {})) for number in range(10_000)]
    found = inferred(tmp_path, rows, rows=500)
    assert 400 <= found.findings.rows <= 600
    assert "late" in types_of(found)


@pytest.mark.parametrize("suffix", [".json", ".jsonl.gz"])
def test_arrays_and_compressed_files_are_sampled_too(tmp_path: Path, suffix: str) -> None:
    rows = [order(number, **({"late": 1} if number > 800 else {})) for number in range(1000)]
    data = (
        json.dumps(rows).encode()
        if suffix == ".json"
        else gzip.compress(b"\n".join(json.dumps(r).encode() for r in rows))
    )
    (tmp_path / f"a{suffix}").write_bytes(data)
    found = infer([tmp_path / f"a{suffix}"], "orders", rows=100)
    assert (found.findings.rows, "late" in types_of(found)) == (100, True)


def test_a_few_rows_of_other_types_are_set_aside_on_request(tmp_path: Path) -> None:
    rows = [*map(order, range(198)), order(198, at="soon"), order(199, total="heavy")]
    with pytest.raises(Exception, match="--tolerate 1"):
        inferred(tmp_path, rows)
    found = inferred(tmp_path, rows, tolerate=1)
    assert (found.findings.misfits, types_of(found)) == (
        2,
        {"at": "timestamp", "order_id": "string", "total": "number"},
    )


def test_a_contract_that_exists_is_not_replaced(smelt: Smelt, tmp_path: Path) -> None:
    before = (tmp_path / "contracts/orders.yaml").read_text()
    file = write_lines(tmp_path / "a.jsonl", [order(0)])
    code, _, told = smelt("infer", file, "--name", "orders", "--out", "contracts/orders.yaml")
    assert (code, "is not replaced" in told) == (2, True)
    assert (tmp_path / "contracts/orders.yaml").read_text() == before


def test_the_result_as_json_names_what_was_found(smelt: Smelt, tmp_path: Path) -> None:
    file = write_lines(tmp_path / "a.jsonl", [order(0), order(1, mixed=1), order(2, mixed="1")])
    code, out, _ = smelt("infer", file, "--name", "orders", "--json")
    told = json.loads(out)
    assert (code, told["event_time"], told["key"], list(told["left_out"])) == (0, "at", ["order_id"], ["mixed"])
    assert yaml.safe_load(told["contract"])["schema"][0]["name"] == "orders"


@pytest.mark.parametrize("name", ["Orders", "2", "or-ders", "dt", "replay", ""])
def test_a_name_that_no_dataset_can_have_is_refused(smelt: Smelt, tmp_path: Path, name: str) -> None:
    code, _, told = smelt("infer", write_lines(tmp_path / "a.jsonl", [order(0)]), "--name", name)
    assert (code, "cannot be a dataset's name" in " ".join(told.split())) == (2, True)


# Words


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("a_1", "a_1"),
        ("orderTotal", "order_total"),
        ("HTTPStatus", "http_status"),
        ("Order ID", "order_id"),
        ("dt", "dt_"),
        ("2nd", "nd"),
        ("é", ""),
    ],
)
def test_a_key_becomes_a_column_s_name(key: str, name: str) -> None:
    assert column_name(key) == name


@given(st.text())
def test_any_text_is_quoted_so_that_yaml_reads_it_back(text: str) -> None:
    text = text.encode("utf-8", "ignore").decode()
    assert yaml.safe_load(f"- {quoted(text)}") == [text]


def test_rows_whose_keys_are_data_give_a_contract_that_a_person_can_read(tmp_path: Path) -> None:
    rows = [order(number, **{f"k{number}_{at}": 1 if at else None for at in range(20)}) for number in range(200)]
    found = inferred(tmp_path, rows)
    assert len(found.contract.fields) <= 1000
    assert len(found.text.splitlines()) < 10_000


def test_deep_and_hostile_rows_are_no_trouble(tmp_path: Path) -> None:
    deep = "[" * 95 + "]" * 95
    rows = [json.dumps(order(0))[:-1] + f', "deep": {deep}}}', "[" * 5000, '{"a":' * 200, "\x00", order(1)]
    found = inferred(tmp_path, rows)
    assert (found.findings.rows, found.sample.unusable) == (2, 3)


# Envelopes


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"Records": [order(0), order(1)]}, ("Records",)),
        ({"meta": {"page": 1}, "data": {"items": [order(at) for at in range(30)], "tags": ["a"]}}, ("data", "items")),
        ({"next": "x", "results": [order(at) for at in range(3)]}, ("results",)),
    ],
)
def test_the_rows_of_an_envelope_are_found(
    smelt: Smelt, tmp_path: Path, document: dict[str, Any], path: tuple[str, ...]
) -> None:
    file = tmp_path / "page.json"
    file.write_text(json.dumps(document, indent=1))
    code, _, told = smelt("infer", file, "--name", "parcels", "--out", "contracts/parcels.yaml")
    assert (code, f"the elements of $.{'.'.join(path)}" in " ".join(told.split())) == (0, True)
    contract = load_contract(tmp_path / "contracts/parcels.yaml")
    assert (contract.rows_path, [field.name for field in contract.fields]) == (path, ["at", "order_id", "total"])
    assert smelt("contracts", "check", "contracts")[0] == 0
    assert smelt("try", file, "--dataset", "parcels")[0] == 0


def test_the_rows_of_a_long_envelope_are_found(tmp_path: Path) -> None:
    """Of a row of more than 64 KiB, what is nested is not read; of a document that may be an envelope it is."""
    file = tmp_path / "long.json"
    file.write_text(json.dumps({"Records": [order(at, note="x" * 100) for at in range(1000)]}))
    assert infer([file], "parcels").contract.rows_path == ("Records",)


def test_the_one_usual_name_among_several_arrays_has_the_rows(tmp_path: Path) -> None:
    page = {"fields": [{"name": "at"}, {"name": "order_id"}], "features": [order(at) for at in range(3)]}
    assert inferred(tmp_path, [page]).contract.rows_path == ("features",)


def test_where_rows_may_be_is_said_and_can_be_passed(smelt: Smelt, tmp_path: Path) -> None:
    file = tmp_path / "graph.json"
    file.write_text(json.dumps({"nodes": [{"name": "a"}, {"name": "b"}], "links": [{"from": "a", "to": "b"}]}))
    code, _, told = smelt("infer", file, "--name", "links", "--out", "links.yaml")
    assert code == 2
    assert "arrays of objects: $.nodes (2), $.links (1)" in " ".join(told.split())
    code, _, told = smelt("infer", file, "--name", "links", "--rows-path", "$.links", "--out", "links.yaml")
    assert (code, load_contract(tmp_path / "links.yaml").rows_path) == (0, ("links",)), told
    code, _, told = smelt("infer", file, "--name", "links", "--rows-path", "links")
    assert (code, "such as '$.Records'" in told) == (2, True)


def test_a_document_is_a_row_if_the_path_says_so(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "a.json", [{**order(0), "Records": [order(1), order(2)]}])
    assert infer([file], "parcels").contract.rows_path == ("Records",)
    assert infer([file], "parcels", rows_path=()).contract.rows_path == ()


def test_the_rows_of_many_envelopes_are_sampled_together(tmp_path: Path) -> None:
    files = [write_lines(tmp_path / f"{at}.json.gz", [{"Records": [order(at), order(at + 3)]}]) for at in range(3)]
    found = infer(files, "parcels")
    assert (found.contract.rows_path, found.findings.rows) == (("Records",), 6)


@pytest.mark.parametrize(
    "rows",
    [
        [order(0, lines=[{"sku": "a"}, {"sku": "b"}])],  # an order with its lines
        [{"Records": [order(0), order(1)], "id": 1}, {"Records": [order(2), order(3)], "id": 2}],  # more than one
        [order(0, data=[{"a": 1}, {"a": 2}], values=[{"b": 1}, {"b": 2}])],  # two arrays
        [order(0, **{"da.ta": [{"a": n} for n in range(50)]})],  # a key that no path can have
        [order(0, data=[{"a": 1}, 2, {"a": 3}])],
    ],
)
def test_what_may_be_rows_themselves_is_not_taken_for_an_envelope(tmp_path: Path, rows: list[Any]) -> None:
    assert inferred(tmp_path, rows).contract.rows_path == ()


def test_epochs_in_strings_are_times_under_a_name_that_says_so(tmp_path: Path) -> None:
    seconds = [1_534_359_560 + n for n in range(9)]
    made = [{"ts": f"{one}.{one % 10:06d}", "phone": str(one), "at": "2026-01-01T00:00:00Z"} for one in seconds]
    found = inferred(tmp_path, made)
    ts = field_of(found, "ts")
    assert (ts.type.value, ts.time.pattern, ts.takes_strings) == ("timestamp", "epoch_seconds", True)
    assert field_of(found, "phone").type.value == "string"
    assert "these strings are read as seconds since 1970: 2018-08-15T18:59:20Z" in found.text


def test_one_string_that_is_no_epoch_makes_all_of_them_strings(tmp_path: Path) -> None:
    made = [{"ts": "1534359560", "id": 1}, {"ts": "1534359561", "id": 2}, {"ts": "soon", "id": 3}]
    assert types_of(inferred(tmp_path, made))["ts"] == "string"


# What it says where there is nothing to infer from


@pytest.mark.parametrize(
    ("content", "options", "told"),
    [
        ('{"at": "x"}'.encode("utf-16"), [], "text in UTF-16. Nothing of it is in Silver. Convert it to UTF-8"),
        (b"PAR1....", [], "a Parquet file"),
        (b'{"a": {"b": [{"x": 1}]}}', ["--rows-path", "$.nope"], "no rows are at $.nope"),
        (b'{"record_type": 5, "id": 1}', [], "record_type, if it has one, a string"),
    ],
)
def test_the_true_cause_is_said(smelt: Smelt, tmp_path: Path, content: bytes, options: list[str], told: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(content)
    code, _, err = smelt("infer", "a.jsonl", "--name", "orders", *options)
    assert (code, told in err) == (2, True), err


def test_times_that_are_far_ahead_are_not_called_partial(tmp_path: Path) -> None:
    found = inferred(tmp_path, [{"at": "2999-01-01T00:00:00Z", "id": number} for number in range(3)])
    assert "days ahead in every row: at in 3 of 3 rows" in found.findings.event_time.why


@pytest.mark.parametrize(
    ("texts", "formats"),
    [
        (["06/15/2025 10:00", "06/16/2025 10:00"], ["MM/dd/yyyy HH:mm[:ss]"]),
        (["06/05/2025"], ["MM/dd/yyyy", "dd/MM/yyyy"]),
        (["15/Jun/2025:10:00:00 +0000"], ["dd/MMM/yyyy:HH:mm:ss Z"]),
        (["Sun, 15 Jun 2025 10:00:00 GMT"], ["EEE, d MMM yyyy HH:mm:ss 'GMT'"]),
        (["Sun Jun 15 20:19:24 +0000 2025"], ["EEE MMM dd HH:mm:ss Z yyyy"]),
        (["2025-06-15T10:00:00.123+0000", "2025-06-15T10:00:00+0200"], ["yyyy-MM-dd'T'HH:mm:ss[.SSS]xx"]),
        (["20250615", "20250616"], ["yyyyMMdd"]),
        (["2025-06-15 10:00"], ["yyyy-MM-dd['T'][' ']HH:mm"]),
        (["20250615", "99999999"], []),
        (["06/15/2025", "soon"], []),
    ],
)
def test_times_in_usual_formats_are_told(smelt: Smelt, tmp_path: Path, texts: list[str], formats: list[str]) -> None:
    file = write_lines(tmp_path / "a.jsonl", [{"id": at, "when": text} for at, text in enumerate(texts)])
    code, out, told = smelt("infer", file, "--name", "visits")
    assert code == 0
    assert [one for one in formats if f'format: "{one}"' in out] == formats
    assert ("when may be a time" in told) == bool(formats)
    if len(formats) == 1:
        kind = "date" if formats == ["yyyyMMdd"] else "timestamp"
        options = f'logicalType: {kind}\n        logicalTypeOptions: {{format: "{formats[0]}"}}'
        before, field = out.split("- name: when")
        written = before + "- name: when" + field.replace("logicalType: string", options)
        (tmp_path / "contracts/visits.yaml").write_text(
            written.replace(
                "value: _created",
                'value: when\n      - {property: earliest, value: "2000-01-01"}\n'
                "      - {property: maxAhead, value: P1D}",
            )
        )
        assert smelt("try", file, "--dataset", "visits")[0] == 0


def test_names_that_are_too_long_are_told(smelt: Smelt, tmp_path: Path) -> None:
    rows = [{"id": at, "k" * 255: at, "l" * 256: at, "Camel" * 40: at, "o": {"n" * 256: 1, "x": 2}} for at in range(3)]
    file = write_lines(tmp_path / "a.jsonl", rows)
    code, out, told = smelt("infer", file, "--name", "d" * 201)
    assert (code, out, "has 201 characters; a dataset's name may have 200" in " ".join(told.split())) == (2, "", True)
    code, _, told = smelt("infer", file, "--name", "d" * 200, "--out", f"contracts/{'d' * 200}.yaml")
    assert code == 0, told
    contract = load_contract(tmp_path / f"contracts/{'d' * 200}.yaml")
    assert [field.name for field in contract.fields] == ["id", "k" * 255, "o"]
    assert smelt("try", file, "--contract", f"contracts/{'d' * 200}.yaml", "--out", "t")[0] == 0


def test_numbers_that_may_be_the_missing_event_time_are_told(smelt: Smelt, tmp_path: Path) -> None:
    rows = [{"id": at, "timeUnixNano": f"{JANUARY + at}000000005", "x": JANUARY + at} for at in range(3)]
    told = " ".join(smelt("infer", write_lines(tmp_path / "a.jsonl", rows), "--name", "logs")[2].split())
    assert "time_unix_nano may be a time, in nanoseconds since 1970; no format reads those" in told
    assert "x may be a time, in seconds since 1970." in told


def test_many_envelopes_in_one_file_are_told(smelt: Smelt, tmp_path: Path) -> None:
    events = [
        {"owner": "1", "logEvents": [{"id": f"e{at}{n}", "timestamp": JANUARY + n} for n in range(2)]}
        for at in range(4)
    ]
    file = tmp_path / "firehose-1"
    file.write_text("".join(map(json.dumps, events)))
    told = " ".join(smelt("infer", file, "--name", "logs")[2].split())
    assert "Each row holds arrays of objects: $.logEvents. If those are the rows: --rows-path '$.logEvents'." in told
    code, _, told = smelt("infer", file, "--name", "logs", "--rows-path", "$.logEvents")
    assert (code, "8 rows" in told, "Each row holds" in told) == (0, True, False)
    orders = write_lines(tmp_path / "b.jsonl", [{"id": at, "lines": [{"sku": "a"}]} for at in range(3)])
    assert "Each row holds" not in smelt("infer", orders, "--name", "orders")[2]
