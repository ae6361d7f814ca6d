"""Whether a fault strikes after the user's own hooks, or before, so that they see it."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook

from faultsim import CampaignConfig, FaultSet, FaultSpace, Workload, inject, run_campaign, tasks
from faultsim.campaign import reproduce
from faultsim.errors import ConfigError, FaultError
from faultsim.faults import Fault
from faultsim.ops.grid import rehearsed

TOP = 1 << 30  # of a float32 below 2: to beyond 1e38


def clamp(module, args, output):
    return output.clamp(-1, 1)


@pytest.fixture
def model() -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), nn.Sequential(nn.Linear(6, 6), nn.ReLU(inplace=True)))
    return net.append(nn.Linear(6, 3)).eval()


X = torch.rand(5, 4, generator=torch.Generator().manual_seed(1)) * 0.5


def faults_in(model: nn.Module, name: str) -> FaultSet:
    sites = {site.name: site for site in FaultSpace(model, "activations", inputs=X).sites}
    return FaultSet.of([Fault(sites[name], 2, TOP)])


def largest(model: nn.Module, faults: FaultSet, **when: str) -> float:
    with torch.no_grad(), inject(model, faults, **when):
        return float(model(X).abs().max())


def with_kwargs(module: nn.Module) -> None:
    module.register_forward_hook(lambda m, a, k, out: clamp(m, a, out), with_kwargs=True)


REGISTER = {
    "plain": lambda module: module.register_forward_hook(clamp),
    "with keywords": with_kwargs,
    "always called": lambda module: module.register_forward_hook(clamp, always_call=True),
    "first of several": lambda module: module.register_forward_hook(clamp, prepend=True),
    "two": lambda module: [module.register_forward_hook(clamp) for _ in range(2)],
}


@pytest.mark.parametrize("register", REGISTER.values(), ids=REGISTER)
@pytest.mark.parametrize("name", ["0", "1.0", "1.1"])
def test_a_protection_in_a_hook_sees_a_fault_that_strikes_before(model, register, name):
    register(model.get_submodule(name))
    golden, faults = model(X), faults_in(model, name)
    assert largest(model, faults) > 1e30
    assert largest(model, faults, when="after") > 1e30
    assert largest(model, faults, when="before") < 10
    assert torch.equal(model(X), golden)


def test_a_hook_of_all_modules_sees_it_too_and_only_the_struck_module_is_struck(model):
    faults = faults_in(model, "1.0")
    seen: list[nn.Module] = []

    def everywhere(module, args, output):
        if (output.abs() > 1e30).any():
            seen.append(module)
        return output.clamp(-1, 1)

    handle = register_module_forward_hook(everywhere)
    try:
        assert largest(model, faults, when="before") < 10
        assert seen == [model[1][0]]
        assert largest(model, faults) <= 1  # the next module's hook clamps what it made of it
    finally:
        handle.remove()
    assert not torch.nn.modules.module._global_forward_hooks


def test_a_hook_that_is_registered_inside_comes_after_either(model):
    faults = faults_in(model, "0")
    for when in ("after", "before"):
        with torch.no_grad(), inject(model, faults, when=when):
            handle = model[0].register_forward_hook(clamp)
            assert model(X).abs().max() < 10
            handle.remove()


def test_the_order_of_hooks_is_as_before(model):
    calls: list[str] = []
    for name in ("a", "b"):
        model[0].register_forward_hook(lambda *_, name=name: calls.append(name))
    before = list(model[0]._forward_hooks)
    for when in ("after", "before"):
        with inject(model, faults_in(model, "0"), when=when):
            model(X)
    assert list(model[0]._forward_hooks) == before
    assert calls[-2:] == ["a", "b"]


def test_no_other_order(model):
    with pytest.raises(FaultError, match="after or before the user's hooks, not 'between'"):
        inject(model, faults_in(model, "0"), when="between")
    with pytest.raises(ConfigError, match="when"):
        CampaignConfig(when="between")


def protected(model: nn.Sequential) -> Workload:
    for module in (model[0], model[1][0]):
        module.register_forward_hook(clamp)
    y = torch.arange(5) % 3
    return Workload(model, [(X, y), (X[:3], y[:3])], tasks.Classification(3), search=[(X, y)])


@pytest.mark.parametrize("mode", ["random", "worst-case"])
def test_campaigns_have_the_order_with_replay_and_without(model, tmp_path, mode):
    work = protected(model)

    def lines(name: str, **settings) -> str:
        trials = 40 if mode == "random" else 2
        usual = {"target": "activations", "flips": (1,), "bits": "30", "include": ("0", "1.0")}
        config = CampaignConfig(mode, out=str(tmp_path / name), trials=trials, **usual | settings)
        return (run_campaign(config, work).directory / "trials-0.jsonl").read_text()

    before = lines("before", when="before", allow_nonfinite=True)
    assert before == lines("whole", when="before", allow_nonfinite=True, replay=False)
    with rehearsed(shuffle=1):
        assert before == lines("graphs", when="before", allow_nonfinite=True)
    after = lines("after", allow_nonfinite=True)
    assert corrupted(after) > corrupted(before)
    again = reproduce(tmp_path / "before", 0, work=work)
    assert not again.differences


def corrupted(text: str) -> int:
    lines = map(json.loads, text.splitlines())
    return sum(line["sdc"] + line["due"] for line in lines)
