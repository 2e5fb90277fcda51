-- The automatic labels of every image as one integer of two bits an attribute, so that a row costs 8 bytes.
SELECT {packed} FROM automatic_labels
