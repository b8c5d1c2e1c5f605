-- How many days after its event the object of a row came, by dataset.
SELECT record_type, DATE_DIFF('day', CAST(dt AS DATE), CAST(_created AS DATE)) AS days_late, COUNT(*) AS row_count
FROM silver
GROUP BY record_type, DATE_DIFF('day', CAST(dt AS DATE), CAST(_created AS DATE))
ORDER BY record_type, days_late;
