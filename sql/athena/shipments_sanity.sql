-- Range of the weights and number of shipments, by day. Fewer shipments than rows: some came twice.
SELECT
  dt,
  COUNT(*) AS row_count,
  MIN(weight_kg) AS min_weight_kg,
  MAX(weight_kg) AS max_weight_kg,
  APPROX_DISTINCT(shipment_id) AS approx_unique_shipments
FROM silver
WHERE record_type = 'shipments'
GROUP BY dt
ORDER BY dt DESC;
