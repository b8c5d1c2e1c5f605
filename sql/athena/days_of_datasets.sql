-- The first and the last day of each dataset, by the history. Days before glue_first_day are in Silver, but not in the table silver.
SELECT
  SPLIT_PART(file, '/', 2) AS record_type,
  MIN(SPLIT_PART(SPLIT_PART(file, '/', 3), '=', 2)) AS first_day,
  MAX(SPLIT_PART(SPLIT_PART(file, '/', 3), '=', 2)) AS last_day
FROM load_history_files
WHERE file LIKE 'silver/%'
GROUP BY SPLIT_PART(file, '/', 2)
ORDER BY record_type;
