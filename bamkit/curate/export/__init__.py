"""Datasets for other programs: folders, tars, parquet and tables, with a card, the attribution and a licence check."""
