-- The automatic labels of the chosen images, where they are a view that reads each row of scores by itself. The view's
-- own text is run over just those rows: through the view, SQLite would compute the labels of every image first.
WITH scores AS (SELECT * FROM main.scores WHERE rowid IN :ids)
SELECT mid, {columns}
FROM ({body}) AS automatic_labels
