-- How many rows each day has, by dataset.
SELECT record_type, dt, COUNT(*) AS row_count
FROM silver
GROUP BY record_type, dt
ORDER BY record_type, dt DESC;
