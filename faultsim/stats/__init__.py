"""Rates and means with intervals; a leaf that any stage may use."""

from faultsim.stats.intervals import (
    CONFIDENCE,
    Estimate,
    bootstrap_mean,
    clopper_pearson,
    image_rate,
    paired_change,
    sample_size,
    stratified,
    wilson,
)

__all__ = [
    "CONFIDENCE",
    "Estimate",
    "bootstrap_mean",
    "clopper_pearson",
    "image_rate",
    "paired_change",
    "sample_size",
    "stratified",
    "wilson",
]
