-- In which files the rows of each loaded object are: its latest outcome, the latest generation of its lots.
SELECT outcome.object, outcome.dataset, outcome.state, outcome.finished_at, written.lot, placed.file
FROM load_history AS outcome
JOIN (SELECT object, MAX(finished_at) AS finished_at FROM load_history GROUP BY object) AS latest
  ON latest.object = outcome.object AND latest.finished_at = outcome.finished_at
CROSS JOIN UNNEST(outcome.lots) AS held (lot)
JOIN load_history_lots AS written ON written.lot = held.lot
JOIN (SELECT lot, MAX(generation) AS generation FROM load_history_lots GROUP BY lot) AS newest
  ON newest.lot = written.lot AND newest.generation = written.generation
CROSS JOIN UNNEST(TRANSFORM(written.files, one -> one.key)) AS placed (file)
WHERE outcome.state = 'DONE';
