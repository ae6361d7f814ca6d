"""Input perturbations: attacks, dropped patches, noise and blur of image batches in [0, 1].

Pure functions: arguments and global generators stay as they were. Normalisation belongs into the
model. They work on the images' device, in float32 (blur in float64), and return the images' dtype.
"""

from faultsim.perturb.attacks import fgsm, pgd
from faultsim.perturb.blur import defocus_blur
from faultsim.perturb.noise import gaussian_noise
from faultsim.perturb.patches import patch_drop
from faultsim.perturb.profiles import profile_for

__all__ = ["defocus_blur", "fgsm", "gaussian_noise", "patch_drop", "pgd", "profile_for"]
