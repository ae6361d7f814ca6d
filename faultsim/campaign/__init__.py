"""Campaigns: thousands of trials, journalled, turned into rates with honest intervals."""

from typing import TYPE_CHECKING

from faultsim.lazily import on_first_use

if TYPE_CHECKING:
    from faultsim.campaign.comparison import Change as Change
    from faultsim.campaign.comparison import Comparison as Comparison
    from faultsim.campaign.comparison import compare as compare
    from faultsim.campaign.detectors import DetectorScore as DetectorScore
    from faultsim.campaign.detectors import score_detector as score_detector
    from faultsim.campaign.exporting import export as export
    from faultsim.campaign.hardened import Hardening as Hardening
    from faultsim.campaign.hardening import harden as harden
    from faultsim.campaign.progress import Progress as Progress
    from faultsim.campaign.protecting import compare_protections as compare_protections
    from faultsim.campaign.protections_record import Cost as Cost
    from faultsim.campaign.protections_record import Paid as Paid
    from faultsim.campaign.reproducing import Reproduction as Reproduction
    from faultsim.campaign.reproducing import reproduce as reproduce
    from faultsim.campaign.result import CampaignResult as CampaignResult
    from faultsim.campaign.result import load_result as load_result
    from faultsim.campaign.runner import run_campaign as run_campaign
    from faultsim.campaign.summary import CellSummary as CellSummary
    from faultsim.config import CampaignConfig as CampaignConfig

_HOMES = {
    "CampaignConfig": "faultsim.config",
    "CampaignResult": "faultsim.campaign.result",
    "CellSummary": "faultsim.campaign.summary",
    "Change": "faultsim.campaign.comparison",
    "Comparison": "faultsim.campaign.comparison",
    "Cost": "faultsim.campaign.protections_record",
    "DetectorScore": "faultsim.campaign.detectors",
    "Hardening": "faultsim.campaign.hardened",
    "Paid": "faultsim.campaign.protections_record",
    "Progress": "faultsim.campaign.progress",
    "Reproduction": "faultsim.campaign.reproducing",
    "compare": "faultsim.campaign.comparison",
    "compare_protections": "faultsim.campaign.protecting",
    "export": "faultsim.campaign.exporting",
    "harden": "faultsim.campaign.hardening",
    "load_result": "faultsim.campaign.result",
    "reproduce": "faultsim.campaign.reproducing",
    "run_campaign": "faultsim.campaign.runner",
    "score_detector": "faultsim.campaign.detectors",
}

__all__ = sorted(_HOMES)

if not TYPE_CHECKING:  # a checker that saw this would take any misspelt name
    __getattr__ = on_first_use(__name__, _HOMES)
