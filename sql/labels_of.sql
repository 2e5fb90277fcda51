-- The automatic labels of the chosen images.
SELECT mid, {columns}
FROM automatic_labels
WHERE mid IN :ids
