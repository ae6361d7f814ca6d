"""Validated operators over the native kernels: the only importer of ``faultsim._C``."""

from faultsim.ops.grid import check_device_flag
from faultsim.ops.operators import Operator, operator, value_operator
from faultsim.ops.patch import Patch
from faultsim.ops.ranking import RankedBits, rank_bits
from faultsim.ops.sampling import sample_bit_errors, sample_uniform
from faultsim.ops.scan import selective_scan
from faultsim.ops.scan_module import SelectiveScan
from faultsim.ops.slots import FaultSlots
from faultsim.ops.state_fault import StateFault
from faultsim.ops.whole_words import (
    add_,
    byte_shift_,
    gaussian_,
    randomise_,
    scale_,
    set_,
    zero_,
)
from faultsim.ops.words import (
    apply_,
    flip_,
    read_words,
    replace_,
    restore_,
    stuck_at_0_,
    stuck_at_1_,
)

__all__ = [
    "FaultSlots",
    "Operator",
    "Patch",
    "RankedBits",
    "SelectiveScan",
    "StateFault",
    "add_",
    "apply_",
    "byte_shift_",
    "check_device_flag",
    "flip_",
    "gaussian_",
    "operator",
    "randomise_",
    "rank_bits",
    "read_words",
    "replace_",
    "restore_",
    "sample_bit_errors",
    "sample_uniform",
    "scale_",
    "selective_scan",
    "set_",
    "stuck_at_0_",
    "stuck_at_1_",
    "value_operator",
    "zero_",
]
