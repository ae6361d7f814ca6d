"""Error-correcting codes as memories use them: many words at once, as bytes."""

from faultsim.ecc.code import CLEAN, CORRECTED, DETECTED, Code, Decoded
from faultsim.ecc.known import CODES, code_named

__all__ = ["CLEAN", "CODES", "CORRECTED", "DETECTED", "Code", "Decoded", "code_named"]
