-- How many images are left after each filter, in one scan.
SELECT count(*){sums}
FROM scores AS s{join}
