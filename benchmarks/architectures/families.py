"""All families, in the order of the table."""

from __future__ import annotations

from benchmarks.architectures import (
    classification,
    detection,
    forms,
    language,
    quantised,
    recurrent,
    segmentation,
    senses,
    timm_models,
    video,
)

ARCHITECTURES = [
    *classification.ARCHITECTURES,
    *detection.ARCHITECTURES,
    *segmentation.ARCHITECTURES,
    *video.ARCHITECTURES,
    *timm_models.ARCHITECTURES,
    *language.ARCHITECTURES,
    *senses.ARCHITECTURES,
    *recurrent.ARCHITECTURES,
    *quantised.ARCHITECTURES,
    *forms.ARCHITECTURES,
]
