-- The same in two texts of numbers with commas between, for SQLite: a single row, and so a single call from Python.
-- CASE, because group_concat leaves out a NULL and would shift all that follow.
SELECT
  group_concat(CASE WHEN typeof(mid) = 'integer' THEN mid ELSE -1 END),
  group_concat({packed})
FROM automatic_labels
