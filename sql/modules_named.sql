-- The images of some mids or some projects: where a removal on request finds their addresses.
SELECT m.mid, {project}, m.src
FROM modules AS m
WHERE m.{column} IN :ids
