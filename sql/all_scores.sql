-- Every row of scores, columns by name: their order differs between releases.
SELECT {columns} FROM scores
