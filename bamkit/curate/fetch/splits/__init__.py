"""From originals to splits: decoding, assignment of places, parquet shards."""
