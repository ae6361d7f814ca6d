"""Which part of a network a layer belongs to."""

from __future__ import annotations

import re

BLOCK = r"layers\.\d+\.blocks\.\d+"
COMPONENTS = {
    "patch embedding": r"patch_embed",
    "convolution branch": rf"{BLOCK}\.conv33conv33conv11",
    "SSM projections": rf"{BLOCK}\.self_attention\.(in_proj|out_proj)",
    "SSM convolution": rf"{BLOCK}\.self_attention\.(conv2d|act)",
    "SSM norms": rf"{BLOCK}\.(ln_1|self_attention\.out_norm)",
    "selective scan": rf"{BLOCK}\.self_attention",
    "block output": BLOCK,
    "patch merging": r"layers\.\d+\.downsample",
    "head": r"head",
}
"""Names of MedMamba's modules (arXiv 2403.03849) by component, tried in this order.

The raw parameters of a scan (A, B, C, Δ, D) belong to its module ``self_attention``.
"""


def component_of(layer: str) -> str:
    """The component of a layer.

    Args:
        layer: The module's qualified name; a call number (``@1``) or a part (``:rows``) may follow.

    Returns:
        One of :data:`COMPONENTS`, or the first part of the name of what is no MedMamba's.
    """
    name = re.split("[:@]", layer)[0]
    for component, pattern in COMPONENTS.items():
        if re.match(rf"{pattern}(\.|$)", name):
            return component
    return name.partition(".")[0]
