-- Every image, for counting.
SELECT {columns} FROM modules
