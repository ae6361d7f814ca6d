"""Campaigns: thousands of trials, journalled, turned into rates with honest intervals."""

from faultsim.campaign.comparison import Change, Comparison, compare
from faultsim.campaign.detectors import DetectorScore, score_detector
from faultsim.campaign.exporting import export
from faultsim.campaign.protecting import Cost, Paid, compare_protections
from faultsim.campaign.reproduce import Reproduction, reproduce
from faultsim.campaign.result import CampaignResult, load_result
from faultsim.campaign.runner import Progress, run_campaign
from faultsim.campaign.summary import CellSummary
from faultsim.config import CampaignConfig

__all__ = [
    "CampaignConfig",
    "CampaignResult",
    "CellSummary",
    "Change",
    "Comparison",
    "Cost",
    "DetectorScore",
    "Paid",
    "Progress",
    "Reproduction",
    "compare",
    "compare_protections",
    "export",
    "load_result",
    "reproduce",
    "run_campaign",
    "score_detector",
]
