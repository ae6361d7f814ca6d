"""Checksummed products of a model's own code, whatever else looks at it."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.overrides import _get_current_function_mode

import faultsim
from faultsim.config import CampaignConfig
from faultsim.devices import reproducibly
from faultsim.errors import ConfigError, FaultError
from faultsim.models.ss2d import SS2D
from faultsim.protections import Detected
from faultsim.protections.alarms import guards_of

PRODUCTS = ("matmul", "einsum", "scaled_dot_product_attention", "linear")
PRODUCT_SITES = tuple(f"*:{name}@1" for name in PRODUCTS)


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(8, 24)
        self.out = nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(x).chunk(3, -1)
        mixed = torch.einsum("bij,bjd->bid", (q @ k.mT / 3).softmax(-1), v)
        mixed = mixed + functional.scaled_dot_product_attention(q, k, v)
        return functional.linear(mixed, self.out.weight, self.out.bias)


class Net(nn.Module):
    """Its own code between modules of its own and of torch, whose encoder could be fused."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(Attention(), nn.ReLU(), Attention())
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.weight = nn.Parameter(torch.randn(8, 4))
        self.head = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.encoder(self.blocks(x)).mean(1) @ self.weight)


@pytest.fixture
def work() -> faultsim.Workload:
    torch.manual_seed(0)
    task = faultsim.tasks.Classification(3)
    return faultsim.Workload(Net().eval(), (torch.randn(6, 5, 8), torch.arange(6) % 3), task)


def inputs_of(work: faultsim.Workload) -> torch.Tensor:
    return work.read("test")[0].inputs


def space_of(work: faultsim.Workload, **options) -> faultsim.FaultSpace:
    return faultsim.FaultSpace(
        work.model, "operations", inputs=inputs_of(work), run=work.run, **options
    )


def struck(work: faultsim.Workload, faults: faultsim.FaultSet) -> torch.Tensor:
    moved = work.around.moved(faults) if work.around else faults
    with torch.no_grad(), reproducibly(0), faultsim.inject(work.model, moved):
        return work.run(inputs_of(work))


def golden(work: faultsim.Workload) -> torch.Tensor:
    with torch.no_grad(), reproducibly(0):
        return work.run(inputs_of(work))


@pytest.mark.parametrize("name", ["abft-products", "abft,abft-products,nan-guard"])
def test_fused_layers_stay_fused_without_faults(work, name):
    with torch.no_grad():  # and not reproducibly, which fuses none
        assert torch.equal(
            faultsim.protect(work, name).run(inputs_of(work)), work.run(inputs_of(work))
        )
    assert _get_current_function_mode() is None


def test_a_struck_word_of_a_product_is_detected_and_computed_again(work):
    detects, repeats = (
        faultsim.protect(work, name) for name in ("abft-products", "abft-products-recompute")
    )
    space = space_of(work)
    seen = []
    for site in space.sites:
        kind = site.name.partition(":")[2].partition("@")[0]
        fault = faultsim.FaultSet.of([faultsim.Fault(site, 3, bit=30, sample=2)])
        output = struck(detects, fault)
        if kind in PRODUCTS:
            seen.append(site.name)
            assert output.isnan().any(1).tolist() == [row == 2 for row in range(6)]
            assert torch.equal(struck(repeats, fault), golden(work))
        else:
            same = torch.allclose(output, struck(work, fault), 0, 0, equal_nan=True)
            assert same or output[2].isnan().all()
    assert len(seen) == 9


def test_what_strikes_an_operand_is_not_seen(work):
    """As is documented: it is on both sides of the sums."""
    space = faultsim.FaultSpace(
        work.model, "activations", inputs=inputs_of(work), run=work.run, include=("*.qkv",)
    )
    (site, _) = space.sites
    fault = faultsim.FaultSet.of([faultsim.Fault(site, 3, bit=30, sample=2)])
    bare = struck(work, fault)
    assert not torch.equal(bare, golden(work))
    assert torch.equal(struck(faultsim.protect(work, "abft-products-recompute"), fault), bare)


def test_computing_again_shifts_no_other_fault(work):
    """It is no call that a fault's number would count."""
    sites = {site.name: site for site in space_of(work).sites}
    both = [
        faultsim.Fault(sites["blocks.0:einsum@1"], 3, bit=30, sample=2),
        faultsim.Fault(sites["blocks.2:softmax@1"], 3, bit=20, sample=1),
    ]
    repeats = faultsim.protect(work, "abft-products-recompute")
    left = faultsim.FaultSet.of(both[1:])
    assert torch.equal(struck(repeats, faultsim.FaultSet.of(both)), struck(work, left))


def test_campaigns_are_the_same_with_and_without_replay(work, tmp_path):
    lines = []
    for replay in (True, False):
        out = tmp_path / str(replay)
        config = CampaignConfig(
            mode="random", target="operations", bits="exponent", trials=10, flips=(3,),
            include=PRODUCT_SITES, replay=replay, out=str(out),
        )  # fmt: skip
        found = faultsim.run_campaign(config, faultsim.protect(work, "abft-products-recompute"))
        lines.append(next(out.glob("*.jsonl")).read_bytes())
    assert lines[0] == lines[1]
    (cell,) = found.cells
    assert cell.rates["due"].value == cell.rates["sdc"].value == 0


def test_patterns_choose_whose_products(work):
    safe = faultsim.protect(work, "abft-products-recompute:blocks.0")
    for site in space_of(work).sites:
        fault = faultsim.FaultSet.of([faultsim.Fault(site, 3, bit=30, sample=2)])
        mended = torch.equal(struck(safe, fault), golden(work))
        assert mended == (
            site.name.startswith("blocks.0:")
            and "@1" in site.name
            and any(f":{name}@" in site.name for name in PRODUCTS)
        )
    with pytest.raises(ConfigError, match=r"outside of layers in the code of blocks\.1$"):
        faultsim.protect(work, "abft-products:blocks.1")


def test_patterns_are_one_guard(work):
    """Code that was chosen before and after lies within each other; a fused layer is in both."""

    class Outer(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.inner(x @ x.mT @ x)

    work.model = Outer(work.model).eval()
    safe = faultsim.protect(work, "abft-products-recompute:inner", "abft-products:(root)")
    with torch.no_grad():  # and not reproducibly, which fuses none
        assert torch.equal(safe.run(inputs_of(work)), work.run(inputs_of(work)))
    assert len(guards_of(safe.model)) == 1
    for site in space_of(work, include=("(root):matmul@1", "inner:matmul@1")).sites:
        output = struck(safe, faultsim.FaultSet.of([faultsim.Fault(site, 3, bit=30, sample=2)]))
        mended = site.name.startswith("inner")
        assert torch.equal(output, golden(work)) == mended
        assert bool(output.isnan().any()) != mended


def test_copies_check_their_own(work):
    safe = faultsim.protect(work, "abft-products")
    site = next(site for site in space_of(work).sites if "einsum" in site.name)
    fault = faultsim.FaultSet.of([faultsim.Fault(site, 3, bit=30, sample=2)])
    for model in (copy.deepcopy(safe.model), pickle.loads(pickle.dumps(safe.model))):
        other = copy.copy(safe)
        other.model = model
        assert struck(other, fault).isnan().any()
        assert not struck(safe, faultsim.FaultSet.of([])).isnan().any()


def test_a_model_without_bare_products_is_refused(work):
    plain = faultsim.Workload(nn.Sequential(nn.Linear(4, 3)), torch.rand(2, 4), lambda *_: None)
    with pytest.raises(ConfigError, match=r"abft-products finds no product outside of layers$"):
        faultsim.protect(plain, "abft-products")
    assert "forward" not in vars(plain.model)
    lazy = faultsim.Workload(nn.Sequential(nn.LazyLinear(3)), torch.rand(2, 5), lambda *_: None)
    with pytest.raises(FaultError, match="lazy"):
        faultsim.protect(lazy, "abft-products")


def test_an_error_leaves_nothing_behind(work):
    safe = faultsim.protect(work, "abft-products")
    with pytest.raises(RuntimeError), torch.no_grad():
        safe.run(torch.rand(2, 5, 7))
    assert _get_current_function_mode() is None
    assert torch.equal(golden(safe), golden(work))


def test_samples_that_rows_do_not_tell_are_no_answer():
    """A product that sums over the samples: no row of it is one's own."""

    class Mixed(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x @ torch.einsum("bi,bj->ij", x, x)

    work = faultsim.Workload(
        Mixed(), torch.randn(6, 4), lambda *_: torch.zeros(6, dtype=torch.bool)
    )
    site = next(site for site in space_of(work).sites if "einsum" in site.name)
    fault = faultsim.FaultSet.of([faultsim.Fault(site, 3, bit=30)])
    with pytest.raises(Detected):
        struck(faultsim.protect(work, "abft-products"), fault)


def test_the_projections_of_a_selective_scan():
    class Scanning(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scan = SS2D(8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.scan(x).mean((1, 2))

    torch.manual_seed(0)
    work = faultsim.Workload(
        Scanning().eval(), torch.randn(6, 4, 4, 8), lambda *_: torch.zeros(6, dtype=torch.bool)
    )
    safe = faultsim.protect(work, "abft-products-recompute")
    faults = space_of(work, bits="30", include="*:einsum@1").sample(1, seed=0)
    assert not torch.equal(struck(work, faults), golden(work))
    assert torch.equal(struck(safe, faults), golden(safe))
    assert torch.equal(golden(safe), golden(work))


def test_what_rounding_did_in_a_golden_run_tells_more_than_what_it_might():
    """Of 768 terms the worst rounding would hide whole results."""

    class Long(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x @ x.mT

    torch.manual_seed(0)
    inputs = torch.randn(4, 512, 768)
    work = faultsim.Workload(Long(), inputs, lambda *_: torch.zeros(4, dtype=torch.bool))
    safe = faultsim.protect(work, "abft-products")
    (site,) = space_of(work).sites
    half = faultsim.FaultSet.of([faultsim.Fault(site, 1, bit=22, sample=2)])
    off = (struck(work, half) - golden(work)).abs().max()
    assert 0.1 < off / golden(work)[0, 0, 1:].std() < 2
    assert struck(safe, half)[2].isnan().all()
    with torch.no_grad():
        assert not safe.run(torch.randn(4, 512, 768)).isnan().any()
