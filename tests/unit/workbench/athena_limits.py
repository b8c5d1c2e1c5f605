"""What Athena answers at the limits, by the same documentation: of nothing, of one, of halves, of months, of JSON.

Written as in `athena_answers.py`.
"""

from __future__ import annotations

LIMITS: list[tuple[str, object]] = [
    # of no rows, of one, and where nothing differs
    ("(SELECT count_if(b) FROM four WHERE n > 5)", 0),
    (
        "(SELECT min(c) FROM (SELECT count_if(b) OVER (ORDER BY d ROWS BETWEEN 2 PRECEDING AND 1 PRECEDING) AS c "
        "FROM four))",
        0,
    ),
    ("(SELECT count_if(b) FILTER (WHERE n > 5) FROM four)", 0),
    ("(SELECT corr(n, d) FROM four WHERE n = 1)", None),
    ("(SELECT corr(n, d) FROM four WHERE n = 2)", None),
    ("(SELECT corr(n, d) FILTER (WHERE n = 1) OVER () FROM four LIMIT 1)", None),
    ("(SELECT count(*) FROM (SELECT n FROM four GROUP BY n HAVING corr(n, d) > 0.5))", 0),
    ("(SELECT regr_slope(n, d) FROM four WHERE n = 1)", None),
    ("(SELECT regr_intercept(n, d) FROM four WHERE n = 1)", None),
    # an integer stays one
    ("CAST(floor(19 / 10) * 10 AS varchar)", "10"),
    ("CAST(ceil(19 / 10) AS varchar)", "1"),
    ("floor(517 / 100) / 2", 2),
    ("floor(DECIMAL '-2.5')", -3),
    ("transform(ARRAY[5], x -> floor(x / 2))", [2]),
    ("(SELECT floor(avg(n)) FROM four)", 1.0),
    ("(SELECT ceil(stddev(d)) FROM four)", 2.0),
    ("(SELECT floor(sum(n) / 2) / 2 FROM four)", 1),
    ("(SELECT floor(count(*) / 3) FROM four)", 1),
    ("(SELECT floor(count_if(b)) FROM four)", 2),
    ("(SELECT floor(cardinality(array_agg(n ORDER BY n)) / 3) FROM four)", 1),
    ("(SELECT max(floor(r / 3)) FROM (SELECT row_number() OVER (ORDER BY d) AS r FROM four))", 1),
    ("(SELECT max(r) FROM (SELECT floor(row_number() OVER (ORDER BY d) / 3) AS r FROM four))", 1),
    ("(SELECT floor(geometric_mean(d) * 1.2e0) FROM four)", 2.0),
    ("json_array_length('[]') - json_array_length('[1]')", -1),
    # a function's value is one, whatever stands beside it
    ("bitwise_and(5, 3) + 1", 2),
    ("2 * bitwise_and(6, 3)", 4),
    ("10 - bitwise_or(1, 2)", 7),
    ("bitwise_and(12, 10) % 3", 2),
    ("-bitwise_and(4, 6)", -4),
    ("bitwise_not(5) + 1", -5),
    ("bitwise_not(5 - 2)", -4),
    ("bitwise_and(bitwise_not(bitwise_or(1, 2)), 7)", 4),
    ("element_at(ARRAY[1] || ARRAY[2], 2)", 2),
    ("element_at(concat(ARRAY['a'], ARRAY['b']), -1)", "b"),
    ("(SELECT approx_percentile(d, ARRAY[0.5, 1.0])[2] FROM four)", 4.0),
    ("(SELECT approx_percentile(n, ARRAY[0.5, 1.0])[2] FROM four)", 2),
    ("(SELECT approx_percentile(n, ARRAY[0.0, 1.0]) FILTER (WHERE n > 0)[1] FROM four)", 1),
    ("(SELECT element_at(approx_percentile(n, ARRAY[0.0, 1.0]), 1) FROM four)", 1),
    ("(SELECT floor(approx_percentile(d, ARRAY[0.5, 1.0])[2] / 3) FROM four)", 1.0),
    ("(SELECT floor(approx_percentile(n, 0.5) / 2) FROM four)", 1),
    ("reverse(ARRAY[1, 2])", [2, 1]),
    ("reverse(split('a.b', '.'))[1]", "b"),
    ("reverse(sequence(1, 3))[1]", 3),
    ("reverse(CAST(json_parse('[1, 2]') AS array(bigint)))[1]", 2),
    ("(SELECT reverse(array_agg(n ORDER BY n)) FROM four WHERE n > 0)", [2, 2, 1]),
    ("(SELECT reverse(filter(x, one -> true)) FROM (VALUES ARRAY[1, 2]) AS t(x))", [2, 1]),
    # of an array that is NULL, or holds nothing else
    ("array_join(ARRAY[CAST(NULL AS varchar)], ',')", ""),
    ("array_join(filter(ARRAY['a'], x -> x = 'b'), ',')", ""),
    ("array_join(CAST(NULL AS array(varchar)), ',')", None),
    ("array_join(CAST(NULL AS array(varchar)), ',', '-')", None),
    ("(SELECT coalesce(array_join(array_agg(s), ','), 'none') FROM four WHERE s IS NULL)", ""),
    ("(SELECT array_join(array_agg(s), ',') FROM four WHERE n > 5)", None),
    ("concat_ws(',', CAST(NULL AS array(varchar)))", None),
    ("concat_ws(',', ARRAY[CAST(NULL AS varchar)])", ""),
    ("concat_ws(',', CAST(NULL AS varchar))", ""),
    ("(SELECT coalesce(concat_ws('-', array_agg(s)), 'none') FROM four WHERE n > 5)", "none"),
    ("array_intersect(ARRAY['a'], CAST(NULL AS array(varchar)))", None),
    ("cardinality(array_intersect(CAST(NULL AS array(varchar)), ARRAY['a']))", None),
    ("map_concat(MAP(ARRAY['a'], ARRAY['b']), CAST(NULL AS map(varchar, varchar)))", None),
    # letters are counted, not bytes
    ("levenshtein_distance('Müller', 'Muller')", 1),
    ("levenshtein_distance('Köln', 'Kölln')", 1),
    ("levenshtein_distance('😀a', '李')", 2),
    ("levenshtein_distance('', 'ä')", 1),
    ("levenshtein_distance('ä', NULL)", None),
    # letters of any language
    ("regexp_extract('Müller GmbH', '\\w+')", "Müller"),
    ("regexp_extract_all('Köln, Süd_1', '[\\w.]+')", ["Köln", "Süd_1"]),
    ("regexp_extract_all('Köln, Süd', '(\\w)(\\w+)', 2)", ["öln", "üd"]),
    ("regexp_replace('Müller & Söhne', '[^\\w]', '')", "MüllerSöhne"),
    ("regexp_replace('Müller & Söhne', '(\\w+) & (\\w+)', '$2')", "Söhne"),
    ("regexp_like('ü', '^\\w$')", True),
    ("regexp_like('\\w', '^\\\\w$')", True),
    ("regexp_like('[ü', '^\\[\\w$')", True),
    ("regexp_like('é', '^\\w{1,2}$')", True),
    ("regexp_extract('x]ü[', '[]\\w]+')", "x]ü"),
    ("regexp_extract('a]üb', '[\\]a]+(\\w)', 1)", "ü"),
    ("regexp_extract('-ü.', '[[:punct:]\\w]+')", "-ü."),
    ("regexp_count('über uns', '\\w+')", 2),
    ("regexp_split('Köln Süd', '\\W+')", ["Köln", "Süd"]),
    # listagg and substr at their bounds
    ("(SELECT listagg(s) WITHIN GROUP (ORDER BY d) FROM four)", "abb"),
    ("substr('hello', 0)", ""),
    ("substr('hello', 0, 2)", ""),
    ("substr('hello', -9, 3)", ""),
    ("substr('hello', 3, strpos('hello', '-') - 2)", ""),
    ("substr('hello', -5)", "hello"),
    # as Java formats
    ("format('%.1f', 0.25e0)", "0.3"),
    ("format('%.2f', 1.255e0)", "1.26"),
    ("format('%.2f', DECIMAL '1.255')", "1.26"),
    ("format('%.0f|%,.2f|%d%%', -2.5e0, 1234.565e0, 7)", "-3|1,234.57|7%"),
    ("format('%s-%s', 'UA', NULL)", "UA-null"),
    ("format('%5d|%-6s|', CAST(NULL AS bigint), CAST(NULL AS varchar))", " null|null  |"),
    ("format('%b', true)", "true"),
    ("format('%.2f', 1e40)", "10000000000000000303786028427003666890752.00"),
    ("date_format(date '2024-12-30', '%x-W%v %%v')", "2025-W01 %v"),
    # a double becomes the decimal that it is written as
    ("CAST(1.005e0 AS decimal(10,2))", "1.01"),
    (
        "(SELECT array_agg(CAST(x AS decimal(5,2)) ORDER BY x) FROM (VALUES 1.005e0, -4.35e0) AS t(x))",
        ["-4.35", "1.01"],
    ),
    ("TRY_CAST(1.005e0 * 1000 AS decimal(5,2))", None),
    ("CAST(json_parse('1.005') AS decimal(10,2))", "1.01"),
    ("CAST(CAST(1.005 AS real) AS decimal(10,2))", "1.01"),
    ("(SELECT CAST(avg(x) AS decimal(10,2)) FROM (VALUES 1.005e0) AS t(x))", "1.01"),
    ("(SELECT CAST(sum(n) AS decimal(10,2)) FROM four)", "5.00"),
    ("CAST(true AS decimal(5,2))", "1.00"),
    (
        "(SELECT array_agg(TRY_CAST(x AS decimal(5,2))) FROM (VALUES '1e2', '+.5', '-5.', ' 1', '1_0', '') AS t(x))",
        ["100.00", "0.50", "-5.00", None, None, None],
    ),
    ("CAST(from_unixtime(36661.5e0) AS time)", "10:11:01.500000"),
    ("CAST(timestamp '2026-01-01 10:11:00' AS time) = time '10:11:00'", True),
    ("TRY_CAST(concat('x', '') AS time)", None),
    # a text's own zone is kept
    ("date(from_iso8601_timestamp('2025-10-26T00:30:00+02:00'))", "2025-10-26"),
    ("CAST(from_iso8601_timestamp('2025-10-25T23:30:00-0500') AS date)", "2025-10-25"),
    ("hour(try(from_iso8601_timestamp('2025-10-26T02:30:00.5+02')))", 2),
    ("EXTRACT(dow FROM from_iso8601_timestamp('2025-10-26T00:30:00+02:00'))", 7),
    ("date_format(from_iso8601_timestamp('2025-10-26T00:30:00+05:30'), '%Y-%m-%d %H:%i')", "2025-10-26 00:30"),
    ("date(date_trunc('month', from_iso8601_timestamp('2025-11-01T00:30:00+02:00')))", "2025-11-01"),
    (
        "date_trunc('day', from_iso8601_timestamp('2025-11-01T00:30:00+02:00')) = timestamp '2025-10-31 22:00 UTC'",
        True,
    ),
    ("to_unixtime(date_trunc('hour', from_iso8601_timestamp('1970-01-01T02:30:00+02:00')))", 0.0),
    ("date_trunc('day', try(from_iso8601_timestamp('x')))", None),
    ("year(from_iso8601_timestamp('2025-12-31T23:30:00Z'))", 2025),
    ("day(from_iso8601_timestamp('2025-12-31'))", 31),
    ("try(date(from_iso8601_timestamp('x')))", None),
    ("date(from_iso8601_timestamp(NULL))", None),
    ("to_unixtime(from_iso8601_timestamp('1970-01-01T02:00:00+02:00'))", 0.0),
    ("date(from_iso8601_timestamp('2025-10-26T00:30:00+02:00') AT TIME ZONE 'UTC')", "2025-10-25"),
    (
        "from_iso8601_timestamp('2025-10-26T00:30:00+02:00') = from_iso8601_timestamp('2025-10-25T22:30:00Z')",
        True,
    ),
    # without a year
    ("to_unixtime(date_parse('10:11:01', '%H:%i:%s'))", 36661.0),
    ("date_parse('12:30 AM', '%h:%i %p')", "1970-01-01 00:30:00"),
    ("date_parse('3:04', '%k:%i')", "1970-01-01 03:04:00"),
    ("date_parse('03:04:05', '%T')", "1970-01-01 03:04:05"),
    ("date_parse('29 Feb', '%d %b')", "2000-02-29 00:00:00"),
    ("try(date_parse('x', '%H:%i'))", None),
    ("date_parse(NULL, '%H:%i')", None),
    # months count from the first date
    (
        "sequence(date '2026-01-31', date '2026-04-30', interval '1' month)",
        ["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30"],
    ),
    (
        "sequence(date '2026-04-30', date '2026-01-31', interval '-1' month)",
        ["2026-04-30", "2026-03-30", "2026-02-28"],
    ),
    ("sequence(date '2026-01-01', date '2026-01-02')", ["2026-01-01", "2026-01-02"]),
    ("sequence(date '2026-01-02', date '2026-01-01')", ["2026-01-02", "2026-01-01"]),
    # of a day's bounds in subqueries and aggregates
    (
        "(SELECT count(*) FROM UNNEST(sequence((SELECT date '2026-01-01'), (SELECT date '2026-01-03'), "
        "interval '1' day)) AS t(d))",
        3,
    ),
    ("(SELECT count(*) FROM UNNEST(sequence(date '2026-01-31', date '2026-03-31', interval '1' month)) AS t(d))", 3),
    (
        "(SELECT count(*) FROM UNNEST(sequence((SELECT date '2026-01-31'), date '2026-03-31', interval '1' month)) "
        "AS t(d))",
        3,
    ),
    ("sequence((SELECT date '2026-01-31'), date '2026-03-01', interval '1' month)", ["2026-01-31", "2026-02-28"]),
    (
        "(SELECT sequence(min(CAST(x AS date)), max(CAST(x AS date))) "
        "FROM (VALUES '2026-01-01', '2026-01-02') AS t(x))",
        ["2026-01-01", "2026-01-02"],
    ),
    # JSON that comes from a subquery, an array or a map
    ("(SELECT CAST(x AS varchar) FROM (SELECT json_extract('{\"a\": \"q\"}', '$.a') AS x))", "q"),
    ("(SELECT CAST(x AS varchar(1)) FROM (SELECT json_parse('\"qr\"') AS x))", "q"),
    ("(SELECT CAST(x AS varchar) FROM UNNEST(CAST(json_parse('[\"q\"]') AS array(json))) AS t(x))", "q"),
    ("transform(CAST(json_parse('[\"q\", 1]') AS array(json)), x -> CAST(x AS varchar))", ["q", "1"]),
    ("CAST(CAST(json_parse('{\"a\": \"q\"}') AS map(varchar, json))['a'] AS varchar)", "q"),
    # rows from JSON: by name in any case, or by place; what has no name is left out
    (
        'CAST(JSON \'{"v1": 123, "V2": "abc", "v3": true, "more": 0}\' AS row(v1 bigint, v2 varchar, v3 boolean))',
        {"v1": 123, "v2": "abc", "v3": True},
    ),
    ("CAST(JSON '[123, \"abc\"]' AS row(v1 bigint, v2 varchar))", {"v1": 123, "v2": "abc"}),
    (
        'CAST(JSON \'{"a": {"b": [{"c": 1.5, "x": 1}, null]}}\' AS row(a row(b array(row(c double))), m bigint))',
        {"a": {"b": [{"c": 1.5}, None]}, "m": None},
    ),
    ("CAST(JSON 'null' AS row(a bigint))", None),
    ("CAST(NULL AS row(a bigint))", None),
    ("(SELECT CAST(x AS row(a varchar)).a FROM (SELECT CAST(ROW(1) AS row(A bigint)) AS x))", "1"),
    ('TRY_CAST(JSON \'{"a": "x"}\' AS row(a bigint))', None),
    ('(SELECT CAST(x AS row(a bigint)).a FROM (SELECT json_parse(\'{"a": 1, "b": 2}\') AS x))', 1),
    ('CAST(JSON \'{"k": {"b": 1}}\' AS map(varchar, row(b bigint)))', {"k": {"b": 1}}),
    (
        '(SELECT sum(q) FROM UNNEST(CAST(json_parse(\'[{"q": 2, "r": 0, "more": 1}, {"q": 3}]\') AS '
        "array(row(q bigint, r bigint)))) AS t(q, r))",
        5,
    ),
    # what is tried
    ("try(date_add('day', 1, date '2026-01-01'))", "2026-01-02"),
    ("try(date '2026-01-01' + interval '1' month)", "2026-02-01"),
    ("(SELECT try(date_add('day', 1, CAST(x AS date))) FROM (VALUES 'x') AS t(x))", None),
    # rows without names, by place
    ("(SELECT x = ROW(1, 'q') FROM (SELECT CAST(ROW(1, 'q') AS row(a bigint, b varchar)) AS x))", True),
    ("(SELECT CAST(x AS row(a bigint, b varchar)).b FROM (SELECT ROW(1, 'q') AS x))", "q"),
    ("(SELECT max(y) FROM UNNEST(ARRAY[ROW(1, 'p'), ROW(2, 'q')]) AS t(x, y))", "q"),
    ('CAST(json_parse(\'{"1": {"a": 5, "b": 6}}\') AS map(bigint, map(varchar, bigint)))[1][\'a\']', 5),
    ('CAST(json_parse(\'{"1": {"a": 5}, "2": {"a": 6}}\') AS map(bigint, row(a bigint)))[1].a', 5),
    ('CAST(json_parse(\'[{"a": 5, "b": 6}, {"a": 7}]\') AS array(row(a bigint)))[1].a', 5),
    ('TRY_CAST(json_parse(\'[{"a": 5, "b": 6}, {"a": 7}]\') AS array(row(a bigint)))[2].a', 7),
    # several arrays
    ("(SELECT array_agg(y ORDER BY x) FROM UNNEST(ARRAY[1, 2], ARRAY['a']) AS t(x, y))", ["a", None]),
    (
        "(SELECT array_agg(n ORDER BY y) FROM UNNEST(ARRAY['a'], ARRAY['c', 'b']) WITH ORDINALITY AS t(x, y, n))",
        [2, 1],
    ),
    (
        "(SELECT array_agg(y ORDER BY x) FROM (VALUES ('a,b', 'c,d')) AS v(p, q) "
        "CROSS JOIN UNNEST(split(p, ','), split(q, ',')) AS t(x, y))",
        ["c", "d"],
    ),
    (
        "(SELECT sum(n) FROM (VALUES CAST(NULL AS array(bigint))) AS v(p) "
        "CROSS JOIN UNNEST(p, ARRAY['a', 'b']) WITH ORDINALITY AS t(x, y, n))",
        3,
    ),
    (
        "(SELECT count(*) FROM (VALUES CAST(NULL AS array(bigint))) AS v(p) LEFT JOIN UNNEST(p, p) AS t(x, y) ON true)",
        1,
    ),
]
