-- In which files the rows of each loaded object are. Objects of one lot share its files.
SELECT object, finished_at, file
FROM load_history_files
ORDER BY finished_at DESC, object, file
LIMIT 100;
