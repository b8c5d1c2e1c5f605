-- How many rows each object has in Silver and in quarantine.
SELECT _source, SUM(in_silver) AS in_silver, SUM(in_quarantine) AS in_quarantine
FROM (
  SELECT _source, 1 AS in_silver, 0 AS in_quarantine FROM silver
  UNION ALL
  SELECT _source, 0 AS in_silver, 1 AS in_quarantine FROM quarantine
)
GROUP BY _source
ORDER BY _source;
