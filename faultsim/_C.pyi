"""The native module. Addresses are integers; :mod:`faultsim.ops` is the only caller."""

import numpy as np
import numpy.typing as npt

abi: int
isa: str
with_cuda: bool
block_bits: int

class Words:
    def __init__(
        self,
        data: int,
        bytes: int,
        numel: int,
        sizes: tuple[int, ...],
        strides: tuple[int, ...],
        layout: tuple[int, bool, int, int],
    ) -> None: ...

class Faults:
    def __init__(
        self,
        op: int,
        index: int,
        n: int,
        operand: tuple[int, int],
        mask: tuple[int, int],
        random: tuple[int, int],
    ) -> None: ...

own_operators: int

def define_operator(number: int, address: int, of_values: bool) -> None: ...
def corrupted(words: Words, op: int, operand: int, mask: int, random: int, word: int) -> int: ...

class Patch:
    def __init__(self, tensors: list[Words], table: npt.NDArray[np.int64]) -> None: ...
    @property
    def struck(self) -> bool: ...
    @property
    def changed(self) -> int: ...
    def strike(self) -> None: ...
    def restore(self) -> None: ...

def first_out_of_bounds(index: int, n: int, numel: int) -> int: ...
def read_words(words: Words, index: int, n: int, out: int) -> None: ...
def corrupt_words(words: Words, faults: Faults, saved: int) -> None: ...
def restore_words(words: Words, index: int, n: int, saved: int) -> None: ...
def philox(counter: tuple[int, ...], key: tuple[int, ...]) -> tuple[int, int, int, int]: ...
def random_words(n: int, seed: int, trial: int, stream: int, out: int) -> None: ...
def sample_uniform(
    population: int, n: int, seed: int, trial: int, stream: int, out: int
) -> None: ...
def sample_bit_errors(
    population: int, rate: float, seed: int, trial: int, stream: int
) -> npt.NDArray[np.int64]: ...
def rank_bits(
    weight: int,
    grad: int,
    n: int,
    format: int,
    bits: int,
    finite_only: bool,
    direction: int,
    k: int,
    threads: int,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.int64], int]: ...

class Scan:
    def __init__(
        self,
        is_double: bool,
        shape: tuple[int, ...],
        inputs: tuple[int, ...],
        softplus: bool,
        faults: list[tuple[int, ...]],
    ) -> None: ...
    def forward(self, y: int, threads: int) -> None: ...
    def backward(self, grads: tuple[int, ...], threads: int) -> None: ...

class ScanGrid:
    most_states: int
    def __init__(
        self,
        is_double: bool,
        is_narrow: bool,
        shape: tuple[int, ...],
        inputs: tuple[int, ...],
        softplus: bool,
        faults: int,
        n_faults: int,
    ) -> None: ...
    @property
    def scratch_bytes(self) -> int: ...
    def forward(self, y: int, shuffle: int) -> None: ...
    def backward(self, grads: tuple[int, ...], scratch: int, shuffle: int) -> None: ...
    def forward_cuda(self, y: int, stream: int) -> None: ...
    def backward_cuda(self, grads: tuple[int, ...], scratch: int, stream: int) -> None: ...

def read_limit(words: int, n: int, threads: int) -> int: ...
def update_limit(words: int, index: int, n: int) -> None: ...

# Kernels over a grid. The last argument is a shuffle of the host's threads, or a CUDA stream.

patch_fault_bytes: int

def patch_tables(tensors: list[Words], table: npt.NDArray[np.int64]) -> tuple[bytes, bytes]: ...

class GridPatch:
    def __init__(self, tensors: int, faults: int, n: int, saved: int, changed: int) -> None: ...
    @property
    def struck(self) -> bool: ...
    def strike(self, grid: int) -> None: ...
    def restore(self, grid: int) -> None: ...

def read_words_grid(words: Words, index: int, n: int, out: int, flag: int, grid: int) -> None: ...
def corrupt_words_grid(
    words: Words, faults: Faults, order: int, saved: int, flag: int, grid: int
) -> None: ...
def restore_words_grid(
    words: Words, index: int, order: int, n: int, saved: int, flag: int, grid: int
) -> None: ...
def count_bit_errors_grid(
    population: int, rate: float, seed: int, trial: int, stream: int, counts: int, grid: int
) -> None: ...
def write_bit_errors_grid(
    population: int,
    rate: float,
    seed: int,
    trial: int,
    stream: int,
    counts: int,
    ends: int,
    errors: int,
    grid: int,
) -> None: ...
def rank_buffer_bytes(k: int, capacity: int) -> int: ...
def rank_bits_grid(
    weight: int,
    grad: int,
    n: int,
    format: int,
    bits: int,
    finite_only: bool,
    direction: int,
    k: int,
    buffer: int,
    capacity: int,
    flag: int,
    grid: int,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.int64], int]: ...
def read_limit_grid(words: int, n: int, sum: int, grid: int) -> None: ...
def update_limit_grid(words: int, index: int, n: int, grid: int) -> None: ...

# Only where with_cuda.

class CudaPatch:
    def __init__(self, tensors: int, faults: int, n: int, saved: int, changed: int) -> None: ...
    @property
    def struck(self) -> bool: ...
    def strike(self, grid: int) -> None: ...
    def restore(self, grid: int) -> None: ...

def read_words_cuda(words: Words, index: int, n: int, out: int, flag: int, grid: int) -> None: ...
def corrupt_words_cuda(
    words: Words, faults: Faults, order: int, saved: int, flag: int, grid: int
) -> None: ...
def restore_words_cuda(
    words: Words, index: int, order: int, n: int, saved: int, flag: int, grid: int
) -> None: ...
def count_bit_errors_cuda(
    population: int, rate: float, seed: int, trial: int, stream: int, counts: int, grid: int
) -> None: ...
def write_bit_errors_cuda(
    population: int,
    rate: float,
    seed: int,
    trial: int,
    stream: int,
    counts: int,
    ends: int,
    errors: int,
    grid: int,
) -> None: ...
def rank_bits_cuda(
    weight: int,
    grad: int,
    n: int,
    format: int,
    bits: int,
    finite_only: bool,
    direction: int,
    k: int,
    buffer: int,
    capacity: int,
    flag: int,
    grid: int,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.int64], int]: ...
def read_limit_cuda(words: int, n: int, sum: int, grid: int) -> None: ...
def update_limit_cuda(words: int, index: int, n: int, grid: int) -> None: ...
