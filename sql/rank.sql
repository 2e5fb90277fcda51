-- The images with the highest scores of one attribute. Ranked by itself, before anything is joined to it: joining
-- first makes SQLite look up a row of modules for every row of scores.
SELECT {key} AS k, s.mid, s.{score} AS score
FROM scores AS s
WHERE {conditions}
ORDER BY s.{score} DESC, s.mid, k
LIMIT :candidates
