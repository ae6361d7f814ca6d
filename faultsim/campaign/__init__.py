"""Campaigns: thousands of trials, journalled, turned into rates with honest intervals."""

from faultsim.campaign.reproduce import Reproduction, reproduce
from faultsim.campaign.runner import CampaignResult, Progress, run_campaign
from faultsim.campaign.summary import CellSummary
from faultsim.config import CampaignConfig

__all__ = [
    "CampaignConfig",
    "CampaignResult",
    "CellSummary",
    "Progress",
    "Reproduction",
    "reproduce",
    "run_campaign",
]
