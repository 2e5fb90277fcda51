-- The ranked images' rows of modules, those that pass the filters on modules.
SELECT m.mid, {columns}
FROM modules AS m
WHERE m.mid IN :ids AND {conditions}
