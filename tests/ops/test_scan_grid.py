"""The scan in blocks of threads: the bodies that a device runs, here in turn on the host."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings, strategies

from faultsim.ops import StateFault, scan_grid, selective_scan
from faultsim.ops.grid import rehearsed
from faultsim.ops.scan_autograd import scan_backward, scan_forward
from faultsim.ops.scan_reference import selective_scan_reference
from faultsim.ops.state_fault import packed

NAMES = ("y", "u", "delta", "A", "B", "C", "D", "bias")


def inputs(batch=2, dim=6, length=33, states=4, groups=2, dtype=torch.float32):
    """u, delta, A, B, C, D and bias; step sizes from tiny to above 20."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

    rows = [normal(batch, dim, length), normal(batch, dim, length) * 4 - 3]
    matrices = [normal(batch, groups, states, length) for _ in range(2)]
    return [*rows, -normal(dim, states).abs() * 4, *matrices, normal(dim), normal(dim).abs()]


def weights(y):
    return torch.linspace(-1, 1, y.numel(), dtype=torch.float64).view(y.shape).to(y)


def in_blocks(tensors, softplus=True, faults=None, shuffle=0):
    """The result and the seven gradients; those of what is None are empty."""
    with rehearsed(shuffle):
        y = scan_grid.forward(tensors, softplus, faults)
        grads = [torch.full_like(t, 7) if t is not None else y.new_empty(0) for t in tensors]
        scan_grid.backward(weights(y), tensors, softplus, faults, grads)
    return [y, *grads]


def by_autograd(scan, tensors, softplus=True, faults=None):
    leaves = [None if t is None else t.clone().requires_grad_() for t in tensors]
    y = scan(*leaves, softplus, faults)
    given = [leaf for leaf in leaves if leaf is not None]
    grads = iter(torch.autograd.grad((y * weights(y)).sum(), given, allow_unused=True))
    grads = [y.new_empty(0) if leaf is None else next(grads) for leaf in leaves]
    return [
        y.detach(),
        *(torch.zeros_like(t) if g is None else g for g, t in zip(grads, tensors, strict=True)),
    ]


def in_double(tensors, softplus=True, faults=None):
    double = [None if t is None else t.double() for t in tensors]
    return by_autograd(selective_scan_reference, double, softplus, faults)


def assert_near(found, expected, error):
    for name, one, other in zip(NAMES, found, expected, strict=True):
        assert one.shape == other.shape, name
        if one.numel():
            difference = (one.double() - other.double()).abs().max()
            assert difference <= error * other.double().abs().max(), name


def equal(found, expected):
    return all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


# batch, dim, length, states, groups: around tiles of 8, 16 and 32 steps, blocks of 4, 8 and 16
# channels, lanes of two states, and layouts of 16, 32 and 64 states.
SHAPES = [
    (1, 1, 1, 1, 1),
    (1, 1, 31, 2, 1),
    (3, 10, 67, 1, 2),
    (1, 16, 32, 15, 1),
    (2, 36, 33, 16, 2),
    (1, 34, 15, 17, 2),
    (2, 9, 64, 31, 1),
    (1, 24, 65, 32, 3),
    (2, 5, 17, 33, 1),
    (1, 16, 16, 63, 4),
    (2, 20, 63, 64, 4),
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 1e-5), (torch.float64, 1e-13)])
def test_forward_and_gradients_agree_with_autograd_in_double(shape, dtype, error):
    tensors = inputs(*shape, dtype=dtype)
    assert_near(in_blocks(tensors), in_double(tensors), error)


@pytest.mark.parametrize("length", [1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 97])
def test_every_length_around_a_tile(length):
    tensors = inputs(length=length)
    assert_near(in_blocks(tensors), in_double(tensors), 1e-5)
    tensors = inputs(length=length, dtype=torch.float64)
    assert_near(in_blocks(tensors), in_double(tensors), 1e-13)


@pytest.mark.parametrize("states", range(65))
def test_every_number_of_states(states):
    tensors = inputs(1, 6, 18, states, 2)
    assert_near(in_blocks(tensors), in_double(tensors), 1e-5)


@pytest.mark.parametrize("groups", [1, 2, 3, 4])
@pytest.mark.parametrize("batch", [1, 2, 3])
def test_groups_and_batches(groups, batch):
    tensors = inputs(batch, 12 * groups, 20, 5, groups)
    assert_near(in_blocks(tensors), in_double(tensors), 1e-5)


@pytest.mark.parametrize("softplus", [True, False])
@pytest.mark.parametrize("without", [(), (5,), (6,), (5, 6)], ids=str)
def test_what_may_be_left_out(softplus, without):
    tensors = inputs(length=40)
    tensors[1] = tensors[1] if softplus else tensors[1].abs() * 0.1
    tensors = [None if i in without else t for i, t in enumerate(tensors)]
    assert_near(in_blocks(tensors, softplus), in_double(tensors, softplus), 1e-5)


@pytest.mark.parametrize("shape", [(2, 36, 70, 16, 2), (1, 40, 131, 5, 1)], ids=str)
@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 1e-5), (torch.float64, 1e-13)])
def test_the_kernel_of_the_cpu_is_as_near(shape, dtype, error):
    tensors = inputs(*shape, dtype=dtype)
    y = scan_forward(*tensors, True, None)
    on_cpu = [y, *scan_backward(weights(y), *tensors, True, None)]
    assert_near(in_blocks(tensors), on_cpu, error)


@pytest.mark.parametrize("shape", [(0, 6, 5, 4, 2), (2, 0, 5, 4, 2), (2, 6, 0, 4, 2)], ids=str)
def test_nothing_to_scan(shape):
    tensors = inputs(*shape)
    y, du, ddelta, *grads = in_blocks(tensors)
    assert y.shape == selective_scan_reference(*tensors, True).shape
    assert y.numel() == du.numel() == ddelta.numel() == 0
    assert all((grad == 0).all() for grad in grads)


def test_without_states_only_the_skip_connection_is_left():
    tensors = inputs(2, 40, 70, 0, 2)
    y, du, *grads = in_blocks(tensors)
    assert torch.equal(y, tensors[0] * tensors[5][:, None])
    assert torch.equal(du, weights(y) * tensors[5][:, None])
    torch.testing.assert_close(grads[4], (weights(y) * tensors[0]).sum(dim=(0, 2)))
    assert all((grad == 0).all() for grad in (*grads[:4], grads[5]))


def test_awkward_step_sizes():
    """No decay, full decay, steps above the linear limit, and steps that overflow exp."""
    u, _, A, B, C, D, bias = inputs(1, 6, 40, 4, 1)
    delta = torch.tensor([-200.0, -30.0, -1e-6, 19.999, 20.001, 1000.0, 0.0, 5.0]).repeat(1, 6, 5)
    A = A * torch.tensor([0.0, 1e-6, 1.0, 40.0])
    tensors = [u, delta, A, B, C, D, torch.zeros_like(bias)]
    assert_near(in_blocks(tensors), in_double(tensors), 1e-5)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), 3e38])
@pytest.mark.parametrize("which", range(7))
def test_non_finite_values_go_where_the_recurrence_takes_them(bad, which):
    """None reaches another channel, nor a sum through the states that pad a lane."""
    tensors = inputs(1, 6, 40, 5, 2)
    tensors[which].view(-1)[3] = bad
    y, expected = in_blocks(tensors)[0], selective_scan_reference(*tensors, True)
    for kind in (torch.isnan, torch.isposinf, torch.isneginf):
        assert torch.equal(kind(y), kind(expected))


@pytest.mark.parametrize("states", [16, 19, 33])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_order_of_threads_changes_no_bit(dtype, states):
    """Nor does it between two barriers: no thread reads what another writes there."""
    tensors = inputs(2, 40, 75, states, 2, dtype)
    faults = table([StateFault(d, 3, 20, 1 << 20) for d in (0, 39)], tensors)
    for struck in (None, faults):
        first = in_blocks(tensors, faults=struck)
        assert equal(first, in_blocks(tensors, faults=struck, shuffle=1))


def narrowed(tensors):
    kinds = [torch.bfloat16 if i in (0, 1, 3, 4) else torch.float32 for i in range(7)]
    return [t.to(kind) for t, kind in zip(tensors, kinds, strict=True)]


def test_bfloat16_is_read_as_it_stands_and_rounded_once():
    tensors = narrowed(inputs(2, 36, 70, 16, 2))
    found = in_blocks(tensors)
    wide = [t.float() for t in tensors]
    y = scan_grid.forward(wide, True, None)
    grads = [torch.empty_like(t) for t in wide]
    scan_grid.backward(weights(y).bfloat16().float(), wide, True, None, grads)
    assert equal(found, [t.to(f.dtype) for f, t in zip(found, [y, *grads], strict=True)])


def test_rounding_to_bfloat16_is_that_of_torch():
    """Around every kind of tie: D of any bits, with u = 1 and no states, comes out as y."""
    tops = torch.randint(-(2**15), 2**15, (2000,), generator=torch.Generator().manual_seed(0))
    ends = torch.tensor([0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF])
    words = (tops[:, None] * 2**16 + ends).view(-1).to(torch.int32)
    D = words.view(torch.float32)
    ones = torch.ones(1, len(D), 1).bfloat16()
    matrix = torch.zeros(1, 1, 0, 1).bfloat16()
    y = scan_grid.forward([ones, ones, D[:, None][:, :0], matrix, matrix, D, None], False, None)
    torch.testing.assert_close(y.view(-1), D.bfloat16(), rtol=0, atol=0, equal_nan=True)


def table(faults, tensors):
    u, A = tensors[0], tensors[2]
    compute = torch.float64 if u.dtype == torch.float64 else torch.float32
    return packed(faults, (*u.shape[:2], A.shape[1], u.shape[2]), compute)


SHAPE = (2, 40, 70, 19, 2)  # two blocks of channels in a group, three tiles, an odd lane


def test_a_fault_that_changes_no_bit_changes_no_bit():
    """Struck tiles go another way, which must round as the shorter one does."""
    tensors = inputs(*SHAPE)
    nothing = [StateFault(d, n, t, 0) for d in range(40) for n in (0, 18) for t in (0, 17, 69)]
    assert equal(in_blocks(tensors, faults=table(nothing, tensors)), in_blocks(tensors))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_only_what_follows_the_fault_changes(dtype):
    tensors = inputs(*SHAPE, dtype=dtype)
    tensors[1] = tensors[1] - 3  # slow decay
    bits = 64 if dtype == torch.float64 else 32
    fault = StateFault(channel=23, state=18, step=40, mask=1 << (bits - 1), batch=1)
    golden, *rest = in_blocks(tensors)
    struck, *others = in_blocks(tensors, faults=table([fault], tensors))
    changed = struck != golden
    assert changed[1, 23, 40:].any()
    changed[1, 23, 40:] = False
    assert not changed.any()
    unstruck = torch.arange(40) != 23
    for one, other in zip(rest[:2], others[:2], strict=True):
        assert torch.equal(one[:, unstruck], other[:, unstruck])


state_faults = strategies.builds(
    StateFault,
    channel=strategies.integers(0, 39),
    state=strategies.integers(0, 18),
    step=strategies.integers(0, 69),
    mask=strategies.integers(0, 2**62 - 1).map(lambda mask: mask | 1 << 63),
    op=strategies.sampled_from(["flip", "stuck-at-0", "stuck-at-1"]),
    batch=strategies.one_of(strategies.none(), strategies.integers(0, 1)),
)


@given(strategies.lists(state_faults, min_size=1, max_size=6))
@settings(max_examples=20)
def test_struck_channels_follow_the_struck_recurrence(faults):
    """Gradients too, which pass a fault as if it added a constant."""
    tensors = inputs(*SHAPE, dtype=torch.float64)
    faults = [fault._replace(mask=fault.mask & ~(1 << 62)) for fault in faults]
    faults += [faults[0]._replace(mask=0b1010), faults[0]._replace(mask=0b110, op="stuck-at-1")]
    faults = table(faults, tensors)
    expected = by_autograd(selective_scan_reference, tensors, True, faults)
    if expected[0].abs().max() < 1e6:
        assert_near(in_blocks(tensors, faults=faults), expected, 1e-11)


@pytest.mark.parametrize("op", ["flip", "stuck-at-0", "stuck-at-1", "replace"])
def test_every_operator_strikes_the_last_state_of_the_last_step(op):
    tensors = inputs(*SHAPE)
    mask = 0x3F000000 if op == "replace" else 0x80400000
    faults = table([StateFault(39, 18, 69, mask, op)], tensors)
    in_float = by_autograd(selective_scan_reference, tensors, True, faults)
    assert_near(in_blocks(tensors, faults=faults), in_float, 1e-5)


def test_one_fault_among_many_of_other_blocks_is_found():
    """More in one tile than a block has threads."""
    tensors = inputs(*SHAPE)
    crowd = [StateFault(39, n, t, 1 << 20, batch=0) for n in range(19) for t in range(20)]
    fault = StateFault(2, 3, 20, 1 << 31, batch=1)
    golden = in_blocks(tensors)[0]
    struck = in_blocks(tensors, faults=table([*crowd, fault], tensors))[0]
    alone = in_blocks(tensors, faults=table([fault], tensors))[0]
    assert not torch.equal(alone[1], golden[1])
    assert torch.equal(struck[1], alone[1])


def test_faults_outside_the_scan_strike_nothing():
    """They are refused before; a kernel that meets one all the same skips it."""
    tensors = inputs(*SHAPE)
    rows = [(-1, 40, 0, 3), (5, 0, 0, 3), (0, 0, 64, 3), (0, 0, 1, 70), (0, -1, -1, -1)]
    rows = sorted(rows, key=lambda row: row[3])
    faults = torch.tensor([[*row, 0, 0] for row in rows])
    assert equal(in_blocks(tensors, faults=faults), in_blocks(tensors))


def test_strikes_in_bfloat16_scans_are_of_words_of_float32():
    tensors = narrowed(inputs(*SHAPE))
    faults = table([StateFault(3, 2, 9, 1 << 31)], tensors)
    struck = in_blocks(tensors, faults=faults)[0]
    wide = scan_grid.forward([t.float() for t in tensors], True, faults)
    assert torch.equal(struck, wide.bfloat16())


def test_the_device_gives_the_bits_of_the_host(device):
    for kind in (lambda t: t, narrowed, lambda t: [x.double() for x in t]):
        tensors = kind(inputs(*SHAPE))
        faults = table([StateFault(3, 2, 9, 1 << 30), StateFault(20, 18, 66, 1 << 31)], tensors)
        for struck in (None, faults):
            on_device = in_blocks([t.to(device) for t in tensors], faults=struck)
            assert equal([t.cpu() for t in on_device], in_blocks(tensors, faults=struck))


def test_a_graph_replays_the_scan(device):
    if device.type != "cuda":
        pytest.skip("only CUDA has graphs")
    tensors = [t.to(device) for t in inputs(*SHAPE)]
    selective_scan(*tensors, True)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = selective_scan(*tensors, True)
    tensors[0].mul_(2)
    graph.replay()
    assert torch.equal(y, selective_scan(*tensors, True))
