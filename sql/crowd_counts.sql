-- How many images the crowd gave each label of each attribute.
SELECT attribute, label, count(*) AS images
FROM crowd_labels
GROUP BY attribute, label
ORDER BY attribute, label
