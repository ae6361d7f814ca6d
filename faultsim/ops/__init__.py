"""Validated operators over the native kernels: the only importer of ``faultsim._C``."""

from typing import TYPE_CHECKING

from faultsim.lazily import on_first_use

if TYPE_CHECKING:
    from faultsim.ops.grid import check_device_flag as check_device_flag
    from faultsim.ops.operators import Operator as Operator
    from faultsim.ops.operators import operator as operator
    from faultsim.ops.operators import value_operator as value_operator
    from faultsim.ops.patch import Patch as Patch
    from faultsim.ops.ranking import RankedBits as RankedBits
    from faultsim.ops.ranking import rank_bits as rank_bits
    from faultsim.ops.sampling import sample_bit_errors as sample_bit_errors
    from faultsim.ops.sampling import sample_uniform as sample_uniform
    from faultsim.ops.scan import selective_scan as selective_scan
    from faultsim.ops.scan_module import SelectiveScan as SelectiveScan
    from faultsim.ops.slots import FaultSlots as FaultSlots
    from faultsim.ops.state_fault import StateFault as StateFault
    from faultsim.ops.whole_words import add_ as add_
    from faultsim.ops.whole_words import byte_shift_ as byte_shift_
    from faultsim.ops.whole_words import gaussian_ as gaussian_
    from faultsim.ops.whole_words import randomise_ as randomise_
    from faultsim.ops.whole_words import scale_ as scale_
    from faultsim.ops.whole_words import set_ as set_
    from faultsim.ops.whole_words import zero_ as zero_
    from faultsim.ops.words import apply_ as apply_
    from faultsim.ops.words import flip_ as flip_
    from faultsim.ops.words import read_words as read_words
    from faultsim.ops.words import replace_ as replace_
    from faultsim.ops.words import restore_ as restore_
    from faultsim.ops.words import stuck_at_0_ as stuck_at_0_
    from faultsim.ops.words import stuck_at_1_ as stuck_at_1_

_HOMES = {
    "FaultSlots": "faultsim.ops.slots",
    "Operator": "faultsim.ops.operators",
    "Patch": "faultsim.ops.patch",
    "RankedBits": "faultsim.ops.ranking",
    "SelectiveScan": "faultsim.ops.scan_module",
    "StateFault": "faultsim.ops.state_fault",
    "add_": "faultsim.ops.whole_words",
    "apply_": "faultsim.ops.words",
    "byte_shift_": "faultsim.ops.whole_words",
    "check_device_flag": "faultsim.ops.grid",
    "flip_": "faultsim.ops.words",
    "gaussian_": "faultsim.ops.whole_words",
    "operator": "faultsim.ops.operators",
    "randomise_": "faultsim.ops.whole_words",
    "rank_bits": "faultsim.ops.ranking",
    "read_words": "faultsim.ops.words",
    "replace_": "faultsim.ops.words",
    "restore_": "faultsim.ops.words",
    "sample_bit_errors": "faultsim.ops.sampling",
    "sample_uniform": "faultsim.ops.sampling",
    "scale_": "faultsim.ops.whole_words",
    "selective_scan": "faultsim.ops.scan",
    "set_": "faultsim.ops.whole_words",
    "stuck_at_0_": "faultsim.ops.words",
    "stuck_at_1_": "faultsim.ops.words",
    "value_operator": "faultsim.ops.operators",
    "zero_": "faultsim.ops.whole_words",
}

__all__ = sorted(_HOMES)

if not TYPE_CHECKING:  # a checker that saw this would take any misspelt name
    __getattr__ = on_first_use(__name__, _HOMES)
