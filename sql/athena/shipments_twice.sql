-- Shipments that came more than once. The lake's table has each of them once a day after compaction.
SELECT shipment_id, COUNT(*) AS row_count, MIN(dt) AS first_day, MAX(dt) AS last_day
FROM silver
WHERE record_type = 'shipments'
GROUP BY shipment_id
HAVING COUNT(*) > 1
ORDER BY row_count DESC, shipment_id
LIMIT 100;
