-- All scores of the chosen images.
SELECT {key} AS k, s.mid, {columns}
FROM scores AS s
WHERE {key} IN :ids
