-- Why rows were refused, by dataset and field, with one row as an example.
SELECT record_type, reason, field, COUNT(*) AS row_count, MIN(detail) AS example
FROM quarantine
GROUP BY record_type, reason, field
ORDER BY row_count DESC, record_type, reason, field;
