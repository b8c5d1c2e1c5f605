"""Functions of DuckDB's that do as Athena's do; `meaning.py` puts calls of them into a query."""

MACROS = r"""
CREATE MACRO athena_json(text) AS CASE WHEN json_valid(text) THEN text END;
CREATE MACRO athena_scalar(found) AS
    CASE WHEN json_type(found) NOT IN ('OBJECT', 'ARRAY') THEN json_extract_string(found, '$') END;
CREATE MACRO athena_array_length(text) AS
    CASE WHEN json_type(athena_json(text)) = 'ARRAY' THEN CAST(json_array_length(text) AS BIGINT) END;
CREATE MACRO athena_slice(list, first, number) AS
    list_slice(list_slice(list, first, CASE WHEN first < 0 THEN -1 ELSE len(list) END), 1, number);
CREATE MACRO athena_position(list, value) AS
    CASE WHEN list IS NOT NULL AND value IS NOT NULL THEN coalesce(list_position(list, value), 0) END;
CREATE MACRO athena_integer(value) AS CASE typeof(value)
    WHEN 'VARCHAR' THEN CASE WHEN regexp_full_match(CAST(value AS VARCHAR), '[+-]?[0-9]+') THEN CAST(value AS VARCHAR)
                             ELSE '''' || CAST(value AS VARCHAR) || '''' END
    WHEN 'DOUBLE' THEN CAST(round(TRY_CAST(CAST(value AS VARCHAR) AS DOUBLE)) AS VARCHAR)
    WHEN 'FLOAT' THEN CAST(round(TRY_CAST(CAST(value AS VARCHAR) AS DOUBLE)) AS VARCHAR)
    WHEN 'BOOLEAN' THEN CASE CAST(value AS VARCHAR) WHEN 'true' THEN '1' WHEN 'false' THEN '0' END
    WHEN 'JSON' THEN json_extract_string(CAST(value AS VARCHAR), '$')
    ELSE CAST(value AS VARCHAR) END;
CREATE MACRO athena_text(value) AS CASE typeof(value)
    WHEN 'JSON' THEN json_extract_string(CAST(value AS VARCHAR), '$') ELSE CAST(value AS VARCHAR) END;
CREATE MACRO athena_digits(value) AS CASE
    WHEN typeof(value) = 'VARCHAR' AND NOT regexp_full_match(
        CAST(value AS VARCHAR), '[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?')
    THEN '''' || CAST(value AS VARCHAR) || ''''
    ELSE athena_text(value) END;
CREATE MACRO athena_member(object, field) AS json_extract(object, '/' || replace(replace(
    list_filter(json_keys(object), lambda one: lower(one) = field)[1], '~', '~0'), '/', '~1'));
CREATE MACRO athena_join_with(separator, value) AS
    CASE WHEN value IS NOT NULL OR NOT ends_with(typeof(value), '[]') THEN concat_ws(separator, value) END;
CREATE MACRO athena_bytes(text, letters) AS CASE WHEN length(letters) > 127
    THEN error('levenshtein_distance takes no more than 127 different letters here.')
    ELSE translate(text, letters,
        array_to_string(list_transform(range(1, 128), lambda n: chr(CAST(n AS INT))), '')) END;
CREATE MACRO athena_letters(text) AS array_to_string(list_distinct(string_split(text, '')), '');
CREATE MACRO athena_distance(one, other) AS CASE
    WHEN strlen(one) = length(one) AND strlen(other) = length(other) THEN levenshtein(one, other)
    ELSE levenshtein(athena_bytes(one, athena_letters(one || other)),
                     athena_bytes(other, athena_letters(one || other))) END;
CREATE MACRO athena_part
    (text, first) AS CASE WHEN first = 0 OR first < -length(text) THEN left(text, 0) ELSE substring(text, first) END,
    (text, first, number) AS CASE WHEN first = 0 OR first < -length(text) OR number < 0 THEN left(text, 0)
                                  ELSE substring(text, first, number) END;
CREATE MACRO athena_floor(typed HUGEINT, value) AS value, (typed DOUBLE, value) AS floor(value);
CREATE MACRO athena_ceil(typed HUGEINT, value) AS value, (typed DOUBLE, value) AS ceil(value);
CREATE MACRO athena_is_date(value) AS typeof(value) <> 'VARCHAR' OR value IS NULL
    OR regexp_full_match(CAST(value AS VARCHAR), '\s*[+-]?\d{4,}-\d{1,2}-\d{1,2}\s*');
CREATE MACRO athena_is_time(value) AS typeof(value) <> 'VARCHAR' OR value IS NULL
    OR regexp_full_match(CAST(value AS VARCHAR), '\s*[+-]?\d{4,}-\d{1,2}-\d{1,2}( .*)?');
CREATE MACRO athena_date(value) AS CASE
    WHEN athena_is_date(value) THEN CAST(value AS DATE) ELSE CAST('''' || CAST(value AS VARCHAR) || '''' AS DATE) END;
CREATE MACRO athena_time(value) AS CASE
    WHEN athena_is_time(value) THEN CAST(value AS TIMESTAMP)
    ELSE CAST('''' || CAST(value AS VARCHAR) || '''' AS TIMESTAMP) END;
CREATE MACRO athena_clock(value) AS CASE WHEN starts_with(typeof(value), 'TIMESTAMP')
    THEN regexp_replace(CAST(value AS VARCHAR), '^.* ([0-9:.]+)([+]00)?$', '\1') ELSE CAST(value AS VARCHAR) END;
CREATE MACRO athena_iso_clock(text) AS CAST(regexp_replace(text, '([T ].*)[+-]\d\d(:?\d\d)?$', '\1') AS TIMESTAMP);
CREATE MACRO athena_iso_start(text, unit) AS
    CAST(text AS TIMESTAMPTZ) - (athena_iso_clock(text) - date_trunc(unit, athena_iso_clock(text)));
CREATE MACRO athena_later
    (typed DATE, value, step) AS CASE WHEN hour(step) % 24 <> 0 OR minute(step) <> 0 OR microsecond(step) <> 0
                                      THEN CAST('no hours, minutes and seconds are added to a date: ' || step AS DATE)
                                      ELSE CAST(value + step AS DATE) END,
    (typed TIMESTAMP, value, step) AS value + step,
    (typed TIMESTAMPTZ, value, step) AS value + step,
    (typed TIME, value, step) AS value + step;
CREATE MACRO athena_start
    (typed DATE, value, unit) AS CAST(date_trunc(unit, value) AS DATE),
    (typed TIMESTAMP, value, unit) AS date_trunc(unit, value),
    (typed TIMESTAMPTZ, value, unit) AS date_trunc(unit, value);
CREATE MACRO athena_series
    (typed DATE, first, last, step)
        AS CAST(generate_series(CAST(first AS TIMESTAMP), CAST(last AS TIMESTAMP), step) AS DATE[]),
    (typed TIMESTAMP, first, last, step) AS generate_series(first, CAST(last AS TIMESTAMP), step),
    (typed TIMESTAMPTZ, first, last, step) AS generate_series(first, CAST(last AS TIMESTAMPTZ), step);
CREATE MACRO athena_months_between(first, last, step) AS list_filter(
    list_transform(generate_series(0, len(generate_series(first, last, step))), lambda n: first + step * n),
    lambda one: CASE WHEN first + step > first THEN one <= last ELSE one >= last END);
CREATE MACRO athena_months
    (typed DATE, first, last, step)
        AS CAST(athena_months_between(CAST(first AS TIMESTAMP), CAST(last AS TIMESTAMP), step) AS DATE[]),
    (typed TIMESTAMP, first, last, step) AS athena_months_between(first, CAST(last AS TIMESTAMP), step),
    (typed TIMESTAMPTZ, first, last, step) AS athena_months_between(first, CAST(last AS TIMESTAMPTZ), step);
"""
