"""Reports: one self-contained page, and figures for a paper, from recorded runs."""

from faultsim.report.write import Written, write_report

__all__ = ["Written", "write_report"]
