"""Datasets for other programs: folders, tars, parquet and tables, with a card, the attribution and a licence check."""

from bamkit.curate.export.run import FORMATS, ExportConfig, Exported, export

__all__ = ["FORMATS", "ExportConfig", "Exported", "export"]
