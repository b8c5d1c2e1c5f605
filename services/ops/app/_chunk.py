"""TEMPORARY stand-in until services/ops/replay is merged."""

from __future__ import annotations

from typing import Any

# ruff: noqa: ARG001


def replay_chunk(
    ledger: Any, s3: Any, bucket: str, request: Any, place: Any, deadline: Any
) -> tuple[dict[str, int], Any]:
    summary = dict((place or {}).get("summary", {"copied": 0, "skipped": 0}))
    after = (place or {}).get("after", "")
    listed = s3.list_objects_v2(Bucket=bucket, Prefix=request.src_prefix, StartAfter=after, MaxKeys=2)
    for entry in listed.get("Contents", []):
        if not request.start <= entry["LastModified"] < request.end:
            continue
        source = {"Bucket": bucket, "Key": entry["Key"]}
        s3.copy_object(Bucket=bucket, Key=request.dest_prefix + entry["Key"], CopySource=source)
        summary["copied"] += 1
    if not listed.get("IsTruncated"):
        return summary, None
    return summary, {"after": listed["Contents"][-1]["Key"], "summary": summary}
