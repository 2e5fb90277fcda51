-- Every image, for counting and for the index.
SELECT {columns} FROM modules
