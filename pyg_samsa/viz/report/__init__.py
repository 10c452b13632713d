"""The HTML report about one run or several side by side."""

from pyg_samsa.viz.report.html_report import write_report

__all__ = ["write_report"]
