"""Faults in the results of functions between modules."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import fx, nn
from torch.overrides import _get_current_function_mode

from faultsim import FaultSet, FaultSpace, inject
from faultsim.errors import FaultError, InjectionError
from faultsim.faults import Fault
from faultsim.targets.operation_hooks import operation

SIGN = 1 << 31
X = torch.rand(3, 4, generator=torch.Generator().manual_seed(0)) + 0.5


class Residual(nn.Module):
    """Two residual branches, the last of which it returns; the first may be added in place."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.first, self.second, self.inplace = nn.Linear(4, 4), nn.Linear(4, 4), inplace

    def forward(self, x, struck=lambda name, value: value):
        out = self.first(x)
        if self.inplace:
            out += x
        else:
            out = out + x
        out = struck("add@1", out)
        out = struck("relu@1", F.relu(out, inplace=self.inplace))
        return struck("add@2", out + self.second(out))


class Attention(nn.Module):
    """Written by hand, over (samples, tokens, width)."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(4, 12), nn.Linear(4, 4)

    def forward(self, x, struck=lambda name, value: value):
        q, k, v = self.qkv(x).chunk(3, -1)
        scores = struck("matmul@1", q @ k.transpose(-2, -1))
        scores = struck("div@1", scores / 2)
        weights = struck("softmax@1", scores.softmax(-1))
        return self.out(struck("matmul@2", weights @ v))


class Net(nn.Module):
    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part, self.head = part, nn.Linear(4, 2)

    def forward(self, x, **struck):
        return self.head(self.part(x, **struck))


def space_of(model: nn.Module, inputs, **how) -> FaultSpace:
    return FaultSpace(model, "operations", inputs=inputs, **how)


def names_of(space: FaultSpace) -> list[str]:
    return [site.name for site in space.sites]


def run(model: nn.Module, faults: FaultSet, *args, **kwargs):
    with torch.no_grad(), inject(model, faults):
        return model(*args, **kwargs)


def flipped(value: torch.Tensor, index: int, mask: int, samples) -> torch.Tensor:
    """The value with one word of some samples struck, by NumPy; an in-place one is written."""
    words = value.detach().clone().numpy()
    rows = words.reshape(len(words), -1).view("uint32")
    for sample in samples:
        rows[sample, index] ^= mask
    return value.copy_(torch.from_numpy(words))


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(["residual", "in place", "attention"]),
    n=st.integers(1, 4),
    bit=st.integers(0, 31),
    data=st.data(),
)
def test_a_fault_gives_what_a_forward_written_by_hand_gives(kind, n, bit, data):
    torch.manual_seed(0)
    model = Net(Attention() if kind == "attention" else Residual(kind == "in place")).eval()
    inputs = torch.rand(n, 3, 4) if kind == "attention" else torch.rand(n, 4)
    space = space_of(model, inputs)
    site = data.draw(st.sampled_from(space.sites))
    index = data.draw(st.integers(0, site.numel - 1))
    sample = data.draw(st.none() | st.integers(0, n - 1))
    samples = range(n) if sample is None else [sample]

    def struck(name: str, value: torch.Tensor) -> torch.Tensor:
        hit = site.name == f"part:{name}"
        return flipped(value, index, 1 << bit, samples) if hit else value

    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with torch.no_grad():
        golden, expected = model(inputs), model(inputs, struck=struck)
    faulty = run(model, FaultSet.of([Fault(site, index, 1 << bit, sample=sample)]), inputs)
    assert torch.equal(faulty.view(torch.int32), expected.view(torch.int32))
    assert torch.equal(model(inputs), golden)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert _get_current_function_mode() is None


def test_sites_are_values_and_not_views():
    names = ["part:matmul@1", "part:div@1", "part:softmax@1", "part:matmul@2"]
    assert names_of(space_of(Net(Attention()).eval(), torch.rand(2, 3, 4))) == names
    for inplace in (False, True):
        space = space_of(Net(Residual(inplace)).eval(), X)
        assert names_of(space) == ["part:add@1", "part:relu@1", "part:add@2"]
        assert not space.skipped


def test_one_name_for_function_method_and_operator():
    for function in (torch.add, torch.Tensor.add, torch.Tensor.add_, torch.ops.aten.add.Tensor):
        assert operation(function) == "add"
    assert operation(torch.Tensor.__rsub__) == "sub"
    assert operation(torch.Tensor.__rshift__) == "rshift"
    assert operation(torch.Tensor.__setitem__) == "setitem"
    assert operation(torch.zeros_like) is None
    assert operation(torch.Tensor.T.__get__) is None


def test_numbers_are_of_the_call_of_the_module():
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.part = Residual()

        def forward(self, x):
            return (self.part(self.part(x)) + 1) * 2 + x

    model = Twice().eval()
    part = [
        f"{call}:{name}" for call in ("part", "part@1") for name in ("add@1", "relu@1", "add@2")
    ]
    assert names_of(space_of(model, X)) == [*part, "(root):add@1", "(root):mul@1", "(root):add@2"]
    assert names_of(space_of(model, X, include="part")) == part
    adds = space_of(model, X, include="*:add@*", exclude="(root)")
    assert names_of(adds) == [name for name in part if "add" in name]
    (site,) = space_of(model, X, include="part@1:relu@1").sites
    faulty = run(model, FaultSet.of([Fault(site, 2, SIGN)]), X)
    with torch.no_grad():
        part, once = model.part, model.part(X)
        hidden = part(once, struck=lambda n, v: flipped(v, 2, SIGN, range(3)) if "relu" in n else v)
        assert torch.equal(faulty, (hidden + 1) * 2 + X)


def test_samples_are_found_and_struck_wherever_they_lie():
    """Windows folded into the batch, and a batch that comes second."""

    class Windows(nn.Module):
        def forward(self, x):  # (samples, 4)
            windows = x.reshape(-1, 2) * 3  # two a sample
            return (windows.reshape(-1, 4).T * 2).T + 0

    model = Windows().eval()
    shapes = {site.name: (site.shape, site.axis, site.inner) for site in space_of(model, X).sites}
    assert shapes == {
        "(root):mul@1": ((2, 2), 0, 2), "(root):mul@2": ((4,), 1, 1), "(root):add@1": ((4,), 0, 1),
    }  # fmt: skip
    for site in space_of(model, X).sites:
        with inject(model, FaultSet.of([Fault(site, 1, SIGN, sample=4)])) as injector:
            assert torch.equal(model(X), X * 6)
            injector.advance(3)
            out = model(X[:2])
        assert (out != X[:2] * 6).any(1).tolist() == [False, True]


def test_what_is_written_in_place_is_struck_for_all_who_hold_it():
    class Holder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("bias", torch.ones(4))

        def forward(self, x):
            kept = x * 1
            view = kept[:, :2]
            kept.add_(1)
            kept[:, 3] = 7
            x.neg_()
            self.bias.clamp_(min=0)
            return view, kept, x, x + self.bias

    model = Holder().eval()
    space = space_of(model, X.clone())
    assert names_of(space) == [f"(root):{name}@1" for name in ("mul", "add", "setitem", "neg", "clamp")] + ["(root):add@2"]  # noqa: E501  # fmt: skip
    sites = {site.name.partition(":")[2]: site for site in space.sites}
    one = lambda name, index: FaultSet.of([Fault(sites[name], index, SIGN)])  # noqa: E731
    view, kept, *_ = run(model, one("add@1", 1), X.clone())
    assert torch.equal(view, (X + 1)[:, :2] * torch.tensor([1.0, -1.0]))
    assert torch.equal(kept[:, 1], view[:, 1])
    _, kept, *_ = run(model, one("setitem@1", 3), X.clone())
    assert (kept[:, 3] == -7).all()
    mine = X.clone()
    run(model, one("neg@1", 0), mine)
    assert torch.equal(mine, -X)  # the caller's own tensor is as the model leaves it
    *_, out = run(model, one("clamp@1", 2), X.clone())
    assert torch.equal(out, -X + torch.tensor([1.0, 1, -1, 1]))
    assert (model.bias == 1).all()


def test_every_function_node_of_a_graph_is_seen():
    torch.manual_seed(0)

    class Plain(Net):
        def forward(self, x):
            return self.head(self.part(x))

    graph = fx.symbolic_trace(Plain(Attention())).eval()
    inputs = torch.rand(2, 3, 4)
    found = names_of(space_of(graph, inputs))
    calls = [n.name for n in graph.graph.nodes if n.op in ("call_function", "call_method")]
    values = [name for name in calls if name.split("_")[0] in ("matmul", "truediv", "softmax")]
    assert len(found) == len(values) == 4
    assert found == ["(root):matmul@1", "(root):div@1", "(root):softmax@1", "(root):matmul@2"]
    faults = space_of(graph, inputs, include="*softmax@1").sample(1, seed=0)
    own = space_of(model := Net(Attention()).eval(), inputs, include="*softmax@1")
    model.load_state_dict(graph.state_dict())
    assert torch.equal(run(graph, faults, inputs), run(model, own.sample(1, seed=0), inputs))


def test_an_exported_program_has_its_operators():
    model = Net(Residual()).eval()
    program = torch.export.export(model, (X,)).module()
    names = names_of(space_of(program, X))
    assert [name.partition("@")[0] for name in names] == [
        f"(root):{name}" for name in ("linear", "add", "relu", "linear", "add", "linear")
    ]
    (site,) = (s for s in space_of(program, X).sites if s.name == "(root):relu@1")
    (own,) = (s for s in space_of(model, X).sites if s.name == "part:relu@1")
    faulty = run(program, FaultSet.of([Fault(site, 1, SIGN)]), X)
    assert torch.equal(faulty, run(model, FaultSet.of([Fault(own, 1, SIGN)]), X))


def test_an_operation_that_does_not_run_is_an_error():
    class Odd(nn.Module):
        def forward(self, x, twice=True):
            return (x + 1) + 2 if twice else x + 1

    model = Odd().eval()
    (site,) = space_of(model, X, include="*add@2").sites
    with (
        pytest.raises(InjectionError, match=r"never fired: \(root\):add@2.*ran no such operation"),
        inject(model, FaultSet.of([Fault(site, 0, 1)])),
    ):
        model(X, twice=False)
    assert _get_current_function_mode() is None
    with pytest.raises(FaultError, match="compiled"):
        space_of(torch.compile(model), X)
    with pytest.raises(FaultError, match=r"all of torch\.nn"):
        space_of(nn.Sequential(nn.Linear(4, 4), nn.ReLU()), X)


def test_what_hooks_and_other_faults_do_is_no_operation():
    torch.manual_seed(0)
    model = Net(Residual()).eval()
    before = names_of(space_of(model, X))
    model.part.first.register_forward_hook(lambda module, args, output: output + 0)
    assert names_of(space_of(model, X)) == before
    struck = {"inputs": None, "module-inputs": "part.second", "activations": "part.first",
              "operations": "part:add@2"}  # fmt: skip
    sets = [
        FaultSpace(model, kind, "31", inputs=X, include=include).locate([1])
        for kind, include in struck.items()
    ]
    faulty = run(model, FaultSet.join(sets), X)
    with torch.no_grad():
        x = flipped(X.clone(), 1, SIGN, range(3))
        hidden = F.relu(flipped(model.part.first(x), 1, SIGN, range(3)) + x)
        branch = model.part.second(flipped(hidden.clone(), 1, SIGN, range(3)))
        expected = model.head(flipped(hidden + branch, 1, SIGN, range(3)))
    assert torch.equal(faulty, expected)


def test_an_element_of_a_nested_result_is_a_site():
    class Top(nn.Module):
        def forward(self, x):
            values, places = x.topk(2)
            return values, places

    model = Top().eval()
    space = space_of(model, X)
    assert names_of(space) == ["(root):topk@1.0", "(root):topk@1.1"]
    values, places = run(model, FaultSet.of([Fault(space.sites[0], 1, SIGN, sample=2)]), X)
    expected = X.topk(2)
    assert torch.equal(places, expected[1])
    assert torch.equal(values, flipped(expected[0].clone(), 1, SIGN, [2]))


def test_a_model_that_raises_leaves_nothing_behind():
    class Raises(nn.Module):
        def forward(self, x):
            x = x + 1
            raise ValueError("mine")

    model = Net(Residual()).eval()
    faults = space_of(model, X).sample(1, seed=0)
    model.part.second = Raises()
    for _ in range(2):
        with pytest.raises(ValueError, match="mine"):
            run(model, faults, X)
        assert _get_current_function_mode() is None


def test_torch_transformers_have_residual_additions():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True).eval()
    space = space_of(layer, torch.rand(2, 3, 8), include="*:add@*")
    assert names_of(space) == ["(root):add@1", "(root):add@2"]
    assert all(site.shape == (3, 8) for site in space.sites)


def test_the_residual_additions_of_a_resnet():
    models = pytest.importorskip("torchvision.models")
    model, x = models.resnet18(num_classes=3).eval(), torch.rand(2, 3, 32, 32)
    space = space_of(model, x, include="*:add@*")
    assert names_of(space) == [f"layer{i}.{j}:add@1" for i in range(1, 5) for j in range(2)]
    (site,) = space_of(model, x, include="layer1.1:add@1").sites
    faulty = run(model, FaultSet.of([Fault(site, 5, 1 << 30, sample=1)]), x)
    with torch.no_grad():
        y = model.layer1[0](model.maxpool(model.relu(model.bn1(model.conv1(x)))))
        block = model.layer1[1]
        z = block.bn2(block.conv2(block.relu(block.bn1(block.conv1(y))))) + y
        z = block.relu(flipped(z, 5, 1 << 30, [1]))
        z = model.layer4(model.layer3(model.layer2(z)))
        expected = model.fc(model.avgpool(z).flatten(1))
    assert torch.equal(faulty, expected)


def test_the_attention_scores_of_a_transformer():
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        vocab_size=20, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=8, attn_implementation="eager",
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.BertModel(config).eval()
    ids = {"input_ids": torch.arange(10).reshape(2, 5)}
    space = space_of(model, ids, include="*attention*:softmax@1")
    assert [site.name for site in space.sites] == [
        f"encoder.layer.{number}.attention.self:softmax@1" for number in range(2)
    ]
    assert all(site.shape == (2, 5, 5) for site in space.sites)
    faults = FaultSet.of([Fault(space.sites[1], 3, 1 << 30, sample=1)])
    with torch.no_grad():
        golden = model(**ids, output_attentions=True)
        with inject(model, faults):
            faulty = model(**ids, output_attentions=True)
    weights = faulty.attentions[1] != golden.attentions[1]
    assert weights.nonzero().tolist() == [[1, 0, 0, 3]]
    assert torch.equal(faulty.attentions[0], golden.attentions[0])
    changed = faulty.last_hidden_state != golden.last_hidden_state
    assert changed.flatten(1).any(1).tolist() == [False, True]
