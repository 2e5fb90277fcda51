-- The crowd's labels of the chosen images.
SELECT mid, attribute, label
FROM crowd_labels
WHERE mid IN :ids
