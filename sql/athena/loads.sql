-- Which files were loaded and when, how many rows each had, and what was refused and why.
SELECT
  dataset,
  object,
  state,
  finished_at,
  bytes,
  rows_read,
  rows_silver,
  rows_quarantined,
  ARRAY_JOIN(TRANSFORM(refused, one -> one.reason || ' ' || CAST(one.rows AS VARCHAR)), ', ') AS refused,
  COALESCE(reason, '') AS rejected_or_retracted_because
FROM load_history
ORDER BY finished_at DESC, object
LIMIT 100;
