-- Flights and delays by carrier
SELECT carrier, COUNT(*) AS flights, ROUND(AVG(dep_delay), 1) AS avg_dep_delay_min,
       SUM(CASE WHEN dep_time IS NULL THEN 1 ELSE 0 END) AS not_departed
FROM silver WHERE record_type = 'flights' GROUP BY carrier ORDER BY flights DESC LIMIT 5;

-- The busiest days
SELECT dt, COUNT(*) AS flights FROM silver WHERE record_type = 'flights' GROUP BY dt ORDER BY flights DESC, dt LIMIT 3;
