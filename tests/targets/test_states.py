"""Hidden states of scans as fault sites: found, struck through the injector, and ranked."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from faultsim import CampaignConfig, FaultSet, FaultSpace, inject
from faultsim.data import Dataset, Split
from faultsim.data.workload import ImageWorkload
from faultsim.errors import ConfigError, FaultError, InjectionError
from faultsim.faults.fault import Fault
from faultsim.faults.site import Site
from faultsim.models import medmamba
from faultsim.ops import SelectiveScan, StateFault, selective_scan
from faultsim.run.experiment import Experiment
from faultsim.run.trial import Trial
from faultsim.schedule import Context
from faultsim.schedule.state_candidates import state_candidates

CHANNELS, STATES, STEPS = 4, 3, 16


class Scanner(nn.Module):
    """Pixels scanned twice by one module, then pooled."""

    def __init__(self) -> None:
        super().__init__()
        self.scan = SelectiveScan(("odd", "even"))
        self.A = nn.Parameter(-torch.rand(CHANNELS, STATES))
        self.mix = nn.Conv1d(1, CHANNELS, 1)
        self.matrix = nn.Conv1d(CHANNELS, 2 * STATES, 1)
        self.head = nn.Linear(CHANNELS, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.mix(images.flatten(2)[..., :STEPS])
        for _ in range(2):
            B, C = self.matrix(x)[:, None].chunk(2, dim=2)
            x = self.scan(x, x.abs(), self.A, B, C)
        logits: torch.Tensor = self.head(x.mean(dim=2))
        return logits


@pytest.fixture
def scanner() -> nn.Module:
    torch.manual_seed(0)
    return Scanner().eval()


@pytest.fixture
def pictures() -> torch.Tensor:
    return torch.rand(5, 1, 4, 4, generator=torch.Generator().manual_seed(1))


def one(site, index=5, step=3, mask=1 << 31, sample=None, op="flip"):
    return FaultSet.of([Fault(site, index, mask, op, 0, sample, step)])


def test_every_call_and_part_is_a_site(scanner, pictures):
    space = FaultSpace(scanner, "states", inputs=pictures)
    assert [site.name for site in space.sites] == [
        "scan:odd",
        "scan:even",
        "scan@1:odd",
        "scan@1:even",
    ]
    assert {site.shape for site in space.sites} == {(CHANNELS // 2, STATES)}
    assert {site.steps for site in space.sites} == {STEPS}
    assert len(space) == 2 * CHANNELS * STATES * STEPS * 32


def test_bits_are_numbered_site_element_step(scanner, pictures):
    space = FaultSpace(scanner, "states", "exponent", inputs=pictures)
    everything = space.locate(range(len(space)))
    rows = list(everything)
    assert len(set(rows)) == len(space)
    order = [(space.sites.index(f.site), f.index, f.step, f.bits[0]) for f in rows]
    assert order == sorted(order)
    assert (rows[-1].index, rows[-1].step) == (CHANNELS // 2 * STATES - 1, STEPS - 1)


def test_medmamba_names_its_directions():
    model = medmamba("n", num_classes=2, in_channels=1).eval()
    space = FaultSpace(model, "states", inputs=torch.rand(1, 1, 28, 28))
    names = [site.name for site in space.sites if site.name.startswith("layers.1.")]
    scan = "layers.1.blocks.0.self_attention.selective_scan"
    parts = ("rows", "columns", "rows-reversed", "columns-reversed")
    assert names == [f"{scan}:{part}" for part in parts]
    assert [site.steps for site in space.sites] == [49] * 4 + [9] * 4 + [1] * 8
    fault = space.filter(lambda site, bit: site.name == names[3]).sample(1, seed=0)
    assert names[3] in str(fault)
    assert "step" in str(fault)


def test_a_fault_strikes_its_call_channel_and_step(scanner, pictures):
    """The model, with the second scan called by hand with the fault."""
    space = FaultSpace(scanner, "states", inputs=pictures)
    site = space.sites[3]
    with inject(scanner, one(site)):
        struck = scanner(pictures)
    faults = [StateFault(channel=2 + 5 // STATES, state=5 % STATES, step=3, mask=1 << 31)]
    calls = iter([None, faults])

    def scan(*args):
        return selective_scan(*args, state_faults=next(calls))

    scanner.scan.forward = scan
    assert torch.equal(struck, scanner(pictures))


def test_samples_are_counted_over_batches(scanner, pictures):
    site = FaultSpace(scanner, "states", inputs=pictures).sites[0]
    golden = scanner(pictures)
    with inject(scanner, one(site, sample=3)) as injector:
        rows = []
        for batch in pictures.split(2):
            rows.append(scanner(batch))
            injector.advance(len(batch))
    assert ((torch.cat(rows) != golden).any(dim=1)).tolist() == [False, False, False, True, False]


def test_the_model_is_as_before(scanner, pictures, bits_of_model):
    before, golden = bits_of_model(scanner), scanner(pictures)
    space = FaultSpace(scanner, ("weights", "states"), inputs=pictures)
    with inject(scanner, space.sample(200, seed=0)):
        assert not torch.equal(scanner(pictures), golden)
    assert bits_of_model(scanner) == before
    assert torch.equal(scanner(pictures), golden)


def test_faults_that_cannot_fire_are_errors(scanner, pictures):
    site = FaultSpace(scanner, "states", inputs=pictures).sites[0]
    longer = Site(site.name, "states", "float32", site.shape, steps=STEPS + 1)
    late = one(longer, step=STEPS)
    with pytest.raises(InjectionError, match="16 steps in a pass, not 17"), inject(scanner, late):
        scanner(pictures)
    wider = Site(site.name, "states", "float32", (9, STATES), steps=STEPS)
    with pytest.raises(InjectionError, match="made for"), inject(scanner, one(wider)):
        scanner(pictures)
    with (
        pytest.raises(InjectionError, match="never fired"),
        inject(scanner, one(site, sample=9)),
    ):
        scanner(pictures)
    elsewhere = Site("block.scan", "states", "float32", site.shape, steps=STEPS)
    with pytest.raises(FaultError, match=r"no module 'block\.scan'"):
        inject(scanner, one(elsewhere)).arm()


def test_steps_are_checked(scanner, pictures):
    site = FaultSpace(scanner, "states", inputs=pictures).sites[0]
    for step in (STEPS, None):
        with pytest.raises(FaultError, match="16 time steps"):
            one(site, step=step)
    weight = FaultSpace(scanner).sites[0]
    with pytest.raises(FaultError, match="0 time steps"):
        one(weight, index=0, step=1)


def test_faults_at_different_steps_do_not_clash(scanner, pictures):
    site = FaultSpace(scanner, "states", inputs=pictures).sites[0]
    assert len(FaultSet.join([one(site, step=1), one(site, step=2)])) == 2
    with pytest.raises(FaultError, match="clash"):
        FaultSet.join([one(site, step=1), one(site, step=1)])


def test_state_faults_go_through_json(scanner, pictures):
    faults = FaultSpace(scanner, "states", inputs=pictures).sample(9, seed=3)
    assert FaultSet.from_json(faults.to_json()) == faults


class Windows(nn.Module):
    """Halves of an image scanned as samples of their own, by a module without parts."""

    def __init__(self) -> None:
        super().__init__()
        self.id = nn.Identity()
        self.scan = SelectiveScan()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.id(images).view(-1, 2, 4)
        y = self.scan(
            x,
            x.abs(),
            -torch.ones(2, 3),
            x[:, None, :1].expand(-1, -1, 3, -1),
            x[:, None, :1].expand(-1, -1, 3, -1),
        )
        return y.view(len(images), -1)


def test_activations_and_states_of_one_module_are_two_sites():
    images = torch.rand(3, 16)
    space = FaultSpace(Windows(), ("weights", "activations", "states"), inputs=images)
    assert [site.name for site in space.sites if site.name.startswith("scan")] == [
        "scan",
        "scan:state",
    ]
    assert set(space.layers()) == {"id", "scan", "scan:state"} | {"(root)"} & set(space.layers())
    faults = space.sample(50, seed=0)
    assert FaultSet.from_json(faults.to_json()) == faults


@pytest.mark.parametrize("sample", [None, 1])
@pytest.mark.parametrize("half", [0, 1])
def test_a_scan_of_windows_is_struck_in_one_window_of_each_sample(half, sample):
    model, images = Windows(), torch.rand(3, 16)
    (site,) = FaultSpace(model, "states", inputs=images).sites
    assert (site.shape, site.inner) == ((2, 2, 3), 2)
    golden = model(images)
    with inject(model, one(site, index=half * 6 + 4, sample=sample)):
        struck = (model(images) != golden).view(3, 2, 2, 4).any(dim=-1)
    expected = torch.zeros(3, 2, 2, dtype=torch.bool)
    expected[slice(None) if sample is None else sample, half, 1] = True
    assert torch.equal(struck, expected)


class Together(Windows):
    """Scans what all images of a batch have in common."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(images.mean(dim=0, keepdim=True).view(1, 16))


def test_a_scan_without_samples_is_struck_as_a_whole():
    model, images = Together(), torch.rand(3, 16)
    space = FaultSpace(model, "states", inputs=images)
    (site,) = space.sites
    assert not site.per_sample
    assert "does not follow the number of samples" in space.whole[site.name]
    golden = model(images)
    with inject(model, one(site, index=0)):
        assert (model(images) != golden).view(2, 2, 4).any(dim=-1)[:, 0].all()
    with pytest.raises(FaultError, match="cannot strike sample 1 alone"):
        one(site, index=0, sample=1)


def test_nothing_is_left_where_arming_fails(images):
    model, pictures = Windows(), torch.rand(3, 16)
    output = FaultSpace(model, "activations", inputs=pictures).sites[0]
    state = Site("elsewhere:state", "states", "float32", (2, 3), steps=4)
    golden = model(pictures)
    both = FaultSet.join([one(output, index=0, step=None), one(state)])
    with pytest.raises(FaultError, match="no module 'elsewhere'"):
        inject(model, both).arm()
    assert torch.equal(model(pictures), golden)
    assert not model.id._forward_hooks


def test_a_module_takes_its_states(scanner, pictures):
    space = FaultSpace(scanner, "states", include="scan", inputs=pictures)
    assert len(space.sites) == 4


def test_models_without_scans_are_refused(model, images):
    with pytest.raises(FaultError, match="no hidden states"):
        FaultSpace(model, "states", inputs=images)
    assert FaultSpace(model, ("weights", "states"), inputs=images).sites


def test_direction_needs_weights():
    with pytest.raises(ConfigError, match="states have no value"):
        CampaignConfig(target="states", direction="0to1")


@pytest.fixture
def experiment(scanner, pictures) -> Experiment:
    labels = torch.arange(len(pictures)) % 3
    split = Split(pictures, labels)
    return Experiment(ImageWorkload(scanner, Dataset("pictures", 3, split, split, split)))


@pytest.mark.parametrize("committed", [False, True])
def test_candidates_are_the_bits_with_the_largest_first_order_change(experiment, committed):
    """Low mantissa bits, where first order is exact: ranked by the loss change of one image."""
    model = experiment.workload.model
    space = FaultSpace(model, "states", "20-22", inputs=experiment.first_inputs())
    config = CampaignConfig(mode="worst-case", target="states", bits="20-22")
    already = one(space.sites[1], index=2, step=9) if committed else FaultSet((), [], [], [])
    found = state_candidates(
        Context(config, space, model, experiment.search, 1), space, already, experiment.gradients()
    )
    assert len({next(iter(faults)).site for faults in found}) == len(space.sites)
    assert not {(f.site, f.index, f.step) for f in already} & {
        (f.site, f.index, f.step) for faults in found for f in faults
    }
    n = experiment.golden("val").size

    def harm(single: FaultSet) -> float:
        """The largest change of an image's loss, as the fault strikes that image alone."""
        (fault,) = single
        before = experiment.run(Trial(already, {}, "val")).loss
        changes = []
        for sample in range(n):
            alone = one(fault.site, fault.index, fault.step, fault.mask, sample)
            changes.append(
                abs(experiment.run(Trial(FaultSet.join([already, alone]), {}, "val")).loss - before)
            )
        return max(changes)

    best = [harm(faults) for faults in found[:5]]
    others = [harm(space.sample(1, seed=0, trial=t)) for t in range(40)]
    assert min(best) > max(others) * 0.9


@pytest.mark.parametrize("record", [{"step": "x"}, {"step": 1.5}, {"step": -1}, {"sample": "x"}])
def test_records_that_are_no_faults(scanner, pictures, record):
    sites = FaultSpace(scanner, "states", inputs=pictures).sites
    whole = {"tensor": sites[0].name, "index": 0, "bit": 3, "step": 0} | record
    with pytest.raises(FaultError, match=r"\$\[0\]"):
        FaultSet.from_json(json.dumps([whole]), sites)
