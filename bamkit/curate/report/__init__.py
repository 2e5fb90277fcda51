"""The dataset report: `report(workspace)` writes reports/index.html with its figures and tables."""

from bamkit.curate.report.build import Report, report

__all__ = ["Report", "report"]
