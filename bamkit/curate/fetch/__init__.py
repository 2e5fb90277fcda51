"""Fetch: from a selection's URLs to parquet splits, with a ledger of every URL ever tried."""
