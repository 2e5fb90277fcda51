-- Every image that passes all filters, in no order: what a sample is drawn from.
SELECT {key} AS k, s.mid, s.{score} AS score
FROM scores AS s
WHERE {conditions}
