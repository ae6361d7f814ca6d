"""Campaigns: thousands of trials, journalled, turned into rates with honest intervals."""

from faultsim.campaign.comparison import Change, Comparison, compare
from faultsim.campaign.detectors import DetectorScore, score_detector
from faultsim.campaign.exporting import export
from faultsim.campaign.hardened import Hardening
from faultsim.campaign.hardening import harden
from faultsim.campaign.protecting import compare_protections
from faultsim.campaign.protections_record import Cost, Paid
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
    "Hardening",
    "Paid",
    "Progress",
    "Reproduction",
    "compare",
    "compare_protections",
    "export",
    "harden",
    "load_result",
    "reproduce",
    "run_campaign",
    "score_detector",
]
