"""Fetch: from a selection's URLs to parquet splits, with a ledger of every URL ever tried."""

from bamkit.curate.fetch.run import fetch
from bamkit.curate.fetch.settings import FetchSettings, Limits, PictureSettings, Politeness
from bamkit.curate.fetch.summary import Summary

__all__ = ["FetchSettings", "Limits", "PictureSettings", "Politeness", "Summary", "fetch"]
