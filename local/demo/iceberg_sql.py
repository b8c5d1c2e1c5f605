"""Asks DuckDB about an Iceberg table in the emulator's S3: `python iceberg_sql.py ENDPOINT METADATA SNAPSHOT SQL`.

Runs in .venv-readers, where DuckDB is in the version that its extensions fit, and imports nothing else. SNAPSHOT may be
empty: the table as it is now. In SQL, `lake` is the table. Prints the rows as JSON: a list of lists.
"""

from __future__ import annotations

import json
import sys

import duckdb


def main(endpoint: str, metadata: str, snapshot: str, sql: str) -> None:
    from duckdb_extensions import import_extension  # type: ignore[import-not-found, unused-ignore]

    connection = duckdb.connect()
    for name in ("httpfs", "avro", "iceberg"):
        import_extension(name)
        connection.execute(f"LOAD {name}")
    host = endpoint.removeprefix("http://")
    connection.execute(
        f"CREATE SECRET (TYPE s3, KEY_ID 'test', SECRET 'test', REGION 'us-east-1', ENDPOINT '{host}', "
        "USE_SSL false, URL_STYLE 'path')"
    )
    place = f"'{metadata}'" + (f", snapshot_from_id={int(snapshot)}" if snapshot else "")
    connection.execute(f"CREATE VIEW lake AS SELECT * FROM iceberg_scan({place})")  # noqa: S608 (our own names)
    print(json.dumps(connection.execute(sql).fetchall()))


if __name__ == "__main__":
    main(*sys.argv[1:])
