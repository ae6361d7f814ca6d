"""Input perturbations: attacks, dropped patches, noise and blur of image batches in [0, 1].

Pure functions: arguments and global generators stay as they were. Normalisation belongs into the
model. They work on the images' device, in float32 (blur in float64), and return the images' dtype.
"""

from faultsim.perturb.attacks import fgsm, pgd
from faultsim.perturb.blur import defocus_blur
from faultsim.perturb.noise import gaussian_noise
from faultsim.perturb.patches import patch_drop
from faultsim.perturb.perturbation import Perturbation, expand, perturb_split
from faultsim.perturb.profiles import profile_for

__all__ = [
    "Perturbation",
    "defocus_blur",
    "expand",
    "fgsm",
    "gaussian_noise",
    "patch_drop",
    "perturb_split",
    "pgd",
    "profile_for",
]
