"""The row rules: one test for each reason, and the values that are accepted."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from services.shared.contract.model import Contract, Field, FieldType
from services.shared.judge.judge import RowJudge, shown
from services.shared.judge.verdicts import MAX_DEPTH, Accepted, Reason, Rejected, Value

CREATED = datetime(2026, 6, 1, tzinfo=UTC)
CONTRACT = Contract(
    dataset="parcels",
    version="1.0.0",
    fields=(
        Field("at", FieldType.TIMESTAMP, required=True),
        Field("name", FieldType.STRING, required=True),
        Field("count", FieldType.INTEGER),
        Field("ratio", FieldType.NUMBER),
        Field("price", FieldType.DECIMAL, precision=6, scale=2),
        Field("flag", FieldType.BOOLEAN),
        Field("day", FieldType.DATE),
        Field("tags", FieldType.ARRAY),
        Field("more", FieldType.OBJECT),
    ),
    event_time="at",
    keys=("name",),
    earliest=datetime(2000, 1, 1, tzinfo=UTC),
    max_ahead=timedelta(days=1),
)
JUDGE = RowJudge({"parcels": CONTRACT})
AT = '"at":"2026-05-01T10:00:00Z"'


def judge(row: str | bytes, default: str = "parcels") -> Accepted | Rejected:
    return JUDGE.judge(row.encode() if isinstance(row, str) else row, default, CREATED)


def with_value(field: str, text: str) -> str:
    """A row that is right, but for one field's value."""
    values = {"at": '"2026-05-01T10:00:00Z"', "name": '"a"', field: text}
    return "{" + ",".join(f'"{name}":{value}' for name, value in values.items()) + "}"


def value_of(field: str, text: str) -> Value:
    verdict = judge(with_value(field, text))
    assert isinstance(verdict, Accepted), verdict
    return verdict.values[[known.name for known in CONTRACT.fields].index(field)]


def reason_of(row: str | bytes, default: str = "parcels") -> tuple[Reason, str | None]:
    verdict = judge(row, default)
    assert isinstance(verdict, Rejected), verdict
    return verdict.reason, verdict.field


class TestTheRowAsJson:
    def test_bytes_that_are_not_utf8_are_bad_utf8(self) -> None:
        assert reason_of(b'{"name":"\xff"}') == (Reason.BAD_UTF8, None)

    def test_an_encoded_surrogate_is_bad_utf8(self) -> None:
        assert reason_of(b'{"name":"\xed\xa0\x80"}') == (Reason.BAD_UTF8, None)

    @pytest.mark.parametrize(
        "row",
        [
            "{", "}", "nope", "{]", '{"a"}', '{"a":}', '{"a":1,}', '{"a":1}x', '{"a":1}{}', "{'a':1}", '{a:1}',
            '{"a":1 "b":2}',
            '{"a":01}', '{"a":+1}', '{"a":.5}', '{"a":1.}', '{"a":NaN}', '{"a":Infinity}', '{"a":-Infinity}',
            '{"a":tru}',
            '{"a":"\x01"}', '{"a":"\t"}', '{"a":"\\x"}', '{"a":"open', '{"a":[1,]}', '\ufeff{"a":1}', "\x00",
            '{"a":\xa01}',
        ],
    )  # fmt: skip
    def test_text_that_is_not_json_is_malformed(self, row: str) -> None:
        assert reason_of(row) == (Reason.MALFORMED_JSON, None)

    @pytest.mark.parametrize("row", ["[]", "1", '"text"', "null", "true", '[{"at":1}]'])
    def test_json_that_is_not_an_object_is_not_an_object(self, row: str) -> None:
        assert reason_of(row) == (Reason.NOT_AN_OBJECT, None)

    @pytest.mark.parametrize("escape", ["\\ud800", "\\udc00", "\\udc00\\ud800", "\\ud800\\n", "\\uD83D\\u0041"])
    def test_half_a_surrogate_pair_is_bad_unicode_wherever_it_is(self, escape: str) -> None:
        assert reason_of(with_value("name", f'"{escape}"')) == (Reason.BAD_UNICODE, None)
        assert reason_of(with_value("tags", f'["{escape}"]')) == (Reason.BAD_UNICODE, None)
        assert reason_of(with_value(f"unknown{escape}", "1")) == (Reason.BAD_UNICODE, None)

    def test_an_escaped_backslash_before_u_is_not_an_escape(self) -> None:
        assert value_of("name", '"\\\\ud800"') == "\\ud800"

    def test_a_key_that_appears_more_than_once_is_a_duplicate_however_it_is_written(self) -> None:
        assert reason_of('{"name":"a","name":"a"}') == (Reason.DUPLICATE_KEY, "name")
        assert reason_of('{"name":"a","n\\u0061me":"a"}') == (Reason.DUPLICATE_KEY, "name")

    @pytest.mark.parametrize("depth", [MAX_DEPTH, 10_000])
    def test_more_levels_than_allowed_are_too_deep(self, depth: int) -> None:
        assert reason_of(with_value("tags", "[" * depth + "]" * depth)) == (Reason.TOO_DEEP, None)
        assert reason_of("[" * (depth + 1)) == (Reason.TOO_DEEP, None)
        assert reason_of('{"a":' * (depth + 1)) == (Reason.TOO_DEEP, None)

    def test_as_many_levels_as_allowed_are_fine(self) -> None:
        text = "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1)
        assert value_of("tags", text) == text

    def test_brackets_in_strings_are_not_levels(self) -> None:
        assert value_of("name", json.dumps("[" * 500)) == "[" * 500

    def test_blanks_around_the_row_do_not_matter(self) -> None:
        assert isinstance(judge(" \t" + with_value("count", " 1 ") + " \r"), Accepted)


class TestItsDataset:
    def test_the_rows_own_record_type_goes_before_the_default(self) -> None:
        verdict = judge(with_value("record_type", '"parcels"'), default="others")
        assert isinstance(verdict, Accepted)
        assert (verdict.dataset, verdict.rescued) == ("parcels", None)

    @pytest.mark.parametrize("row", [with_value("count", "1"), with_value("record_type", "null")])
    def test_a_row_without_one_belongs_to_the_default(self, row: str) -> None:
        assert isinstance(judge(row), Accepted)
        assert reason_of(row, default="others") == (Reason.UNKNOWN_RECORD_TYPE, "record_type")

    def test_a_dataset_without_a_contract_is_unknown_and_kept_as_found(self) -> None:
        verdict = judge(with_value("record_type", '"mystery"'))
        assert isinstance(verdict, Rejected)
        assert (verdict.reason, verdict.record_type) == (Reason.UNKNOWN_RECORD_TYPE, "mystery")

    def test_an_empty_record_type_is_unknown(self) -> None:
        assert reason_of(with_value("record_type", '""')) == (Reason.UNKNOWN_RECORD_TYPE, "record_type")

    @pytest.mark.parametrize("text", ["1", "true", "[]", "{}"])
    def test_a_record_type_that_is_not_a_string_is_of_the_wrong_type(self, text: str) -> None:
        assert reason_of(with_value("record_type", text)) == (Reason.WRONG_TYPE, "record_type")


class TestItsFields:
    def test_a_required_field_that_is_absent_or_null_is_missing(self) -> None:
        assert reason_of(f"{{{AT}}}") == (Reason.MISSING_REQUIRED, "name")
        assert reason_of(with_value("name", "null")) == (Reason.MISSING_REQUIRED, "name")

    @pytest.mark.parametrize("field", [field.name for field in CONTRACT.fields if not field.required])
    def test_an_optional_field_may_be_null(self, field: str) -> None:
        assert value_of(field, "null") is None

    @pytest.mark.parametrize(
        ("field", "text"),
        [
            ("name", "1"), ("name", "true"), ("name", "[]"), ("name", "{}"),
            ("count", '"1"'), ("count", "1.0"), ("count", "1e2"), ("count", "true"),
            ("ratio", '"1.5"'), ("price", '"1.50"'), ("price", "false"),
            ("flag", "1"), ("flag", '"true"'), ("day", "20260501"), ("at", "1767225600"),
            ("tags", "{}"), ("tags", '"[]"'), ("more", "[]"), ("more", "1"),
        ],
    )  # fmt: skip
    def test_a_value_of_another_type_is_of_the_wrong_type(self, field: str, text: str) -> None:
        assert reason_of(with_value(field, text)) == (Reason.WRONG_TYPE, field)

    @pytest.mark.parametrize(
        ("field", "text"),
        [
            ("count", "9223372036854775808"), ("count", "-9223372036854775809"), ("count", "9" * 5000),
            ("ratio", "1e999"), ("ratio", "-1e309"),
            ("price", "10000"), ("price", "1.005"), ("price", "1e4"), ("price", "1e-3"), ("price", "1e" + "9" * 30),
            ("price", "1e-" + "9" * 30), ("price", "1e-" + "9" * 5000), ("price", "1e17"), ("price", "1" + "0" * 5000),
            ("price", "0." + "0" * 5000 + "1"),
        ],
    )  # fmt: skip
    def test_a_number_that_its_column_cannot_hold_is_out_of_range(self, field: str, text: str) -> None:
        assert reason_of(with_value(field, text)) == (Reason.OUT_OF_RANGE, field)

    @pytest.mark.parametrize(
        ("field", "text", "value"),
        [
            ("name", '"\\u0000"', "\0"), ("name", '"\\ud83d\\ude00"', "\N{GRINNING FACE}"), ("name", '""', ""),
            ("count", "9223372036854775807", 2**63 - 1), ("count", "-9223372036854775808", -(2**63)),
            ("count", "-0", 0),
            ("ratio", "1", 1.0), ("ratio", "2.5e-3", 0.0025), ("ratio", "5e-400", 0.0),
            ("price", "9999.99", Decimal("9999.99")), ("price", "1.5000", Decimal("1.5")),
            ("price", "1e3", Decimal(1000)),
            ("price", "0e999", Decimal(0)), ("price", "-0.000", Decimal(0)), ("price", "0e" + "9" * 30, Decimal(0)),
            ("price", "1234.1" + "0" * 5000, Decimal("1234.1")), ("price", "12e1", Decimal(120)),
            ("price", "0." + "0" * 5000 + "1e5000", Decimal("0.1")), ("price", "100e-000000002", Decimal(1)),
            ("price", "1" + "0" * 5000 + "e-5000", Decimal(1)), ("price", "1e+" + "0" * 5000 + "1", Decimal(10)),
            ("price", "-9999.990e0", Decimal("-9999.99")), ("price", "123456e-2", Decimal("1234.56")),
            ("flag", "false", False), ("day", '"2024-02-29"', date(2024, 2, 29)),
            ("tags", '[1, "b" ]', '[1, "b" ]'), ("more", '{"d":1,"d":2}', '{"d":1,"d":2}'),
        ],
    )  # fmt: skip
    def test_a_value_of_the_right_type_is_kept_exactly(self, field: str, text: str, value: Value) -> None:
        assert value_of(field, text) == value

    @pytest.mark.parametrize("text", ["2025-02-29", "2026-13-01", "0000-01-01", "2026-5-1", "2026-05-01T00:00:00Z", ""])
    def test_a_day_that_does_not_exist_is_a_bad_date(self, text: str) -> None:
        assert reason_of(with_value("day", f'"{text}"')) == (Reason.BAD_DATE, "day")

    def test_the_first_field_in_the_contracts_order_gives_the_reason(self) -> None:
        assert reason_of(f'{{"ratio":"x","count":"x","name":"a",{AT}}}') == (Reason.WRONG_TYPE, "count")

    @pytest.mark.parametrize("text", ["1", "1.5", "1.500", "1e2", "-150e-2", "0", "0e7", "1" + "0" * 50 + "e-50"])
    def test_a_decimal_has_exactly_the_digits_of_its_scale(self, text: str) -> None:
        value = value_of("price", text)
        assert isinstance(value, Decimal)
        assert value.as_tuple().exponent == -2

    def test_unknown_keys_are_rescued_as_they_are_written_in_their_order(self) -> None:
        verdict = judge(f'{{"z\\u00e4": [1,  2],"name":"a",{AT},"b" : 1.50, "a":null}}')
        assert isinstance(verdict, Accepted)
        assert verdict.rescued == '{"z\\u00e4":[1,  2],"b":1.50,"a":null}'


class TestItsEventTime:
    @pytest.mark.parametrize(
        ("text", "moment"),
        [
            ("2026-05-01T10:00:00Z", "2026-05-01T10:00:00+00:00"),
            ("2026-05-01 10:00:00", "2026-05-01T10:00:00+00:00"),
            ("2026-05-01t10:00:00z", "2026-05-01T10:00:00+00:00"),
            ("2026-05-01T10:00:00+05:30", "2026-05-01T04:30:00+00:00"),
            ("2026-05-01T10:00:00-00:00", "2026-05-01T10:00:00+00:00"),
            ("2026-05-01T10:00:00.123456789Z", "2026-05-01T10:00:00.123456+00:00"),
            ("2026-05-01T10:00:00.9999999Z", "2026-05-01T10:00:00.999999+00:00"),
            ("2024-02-29T23:30:00-01:00", "2024-03-01T00:30:00+00:00"),
        ],
    )
    def test_rfc_3339_times_are_read_as_utc_and_cut_to_microseconds(self, text: str, moment: str) -> None:
        assert value_of("at", f'"{text}"') == datetime.fromisoformat(moment)

    @pytest.mark.parametrize(
        "text",
        [
            "", "yesterday", "2026-05-01", "2026-05-01T10:00Z", "2026-05-01T10:00:60Z",
            "2026-05-01T24:00:00Z", "2026-05-01T10:60:00Z",
            "2025-02-29T00:00:00Z", "2026-00-01T00:00:00Z", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01", "2026-05-01T10:00:00.Z", "2026-05-01T10:00:00+0530",
            "2026-05-01T10:00:00+24:00",
            "2026-05-01T10:00:00+05:60", "2026-05-01T10:00:00ZZ", " 2026-05-01T10:00:00Z", "20260501T100000Z",
        ],
    )  # fmt: skip
    def test_other_texts_are_bad_timestamps(self, text: str) -> None:
        assert reason_of(with_value("at", f'"{text}"')) == (Reason.BAD_TIMESTAMP, "at")

    @pytest.mark.parametrize(
        "text", ["1999-12-31T23:59:59.999999Z", "2026-06-02T00:00:00.000001Z", "9999-12-31T23:59:59Z"]
    )
    def test_times_outside_the_window_are_refused(self, text: str) -> None:
        assert reason_of(with_value("at", f'"{text}"')) == (Reason.OUT_OF_WINDOW, "at")

    @pytest.mark.parametrize("text", ["2000-01-01T00:00:00Z", "2026-06-02T00:00:00Z"])
    def test_both_ends_of_the_window_are_inside(self, text: str) -> None:
        assert isinstance(judge(with_value("at", f'"{text}"')), Accepted)


@pytest.mark.parametrize("created", [datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)])
def test_an_object_created_at_an_end_of_the_calendar_has_a_window_too(created: datetime) -> None:
    row = f'{{{AT},"name":"a"}}'.encode()
    verdict = JUDGE.judge(row, "parcels", created)
    assert isinstance(verdict, Accepted if created.year == 9999 else Rejected)


@pytest.mark.parametrize(
    ("row", "detail"),
    [
        ("[]", "the row is valid JSON, but not a JSON object"),
        (with_value("count", '1,"count":2'), "'count' appears more than once"),
        (f"{{{AT}}}", "is missing"),
        (with_value("at", '"soon"'), "'soon' is not an RFC 3339 timestamp of the years 0001 to 9999"),
    ],
)
def test_the_detail_says_what_is_wrong(row: str, detail: str) -> None:
    verdict = judge(row)
    assert isinstance(verdict, Rejected)
    assert verdict.detail == detail


def test_a_row_is_shown_with_its_broken_bytes_as_escapes() -> None:
    assert shown(b' {"a":"\xff\xc3\xbc"}\r') == '{"a":"\\xffü"}'
