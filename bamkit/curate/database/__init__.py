"""The BAM database: opened read-only, counted, described."""
