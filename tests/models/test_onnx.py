"""ONNX files as models."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from faultsim import CampaignConfig, FaultSimError, run_campaign
from faultsim.campaign import reproduce
from faultsim.cli import main
from faultsim.models import load_model, model_digest


@pytest.fixture
def file(tmp_path, monkeypatch):
    """Writes a convolutional net for the digits and says where; ``middle`` is its third node."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnx2torch")
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    shapes = {"w": (4, 1, 3, 3), "b": (4,), "gain": (4, 1, 1), "v": (10, 4), "c": (10,)}
    words = {name: random.standard_normal(shape, np.float32) for name, shape in shapes.items()}
    make, real = onnx.helper, onnx.TensorProto.FLOAT

    def write(name: str = "net.onnx", middle: str = "Mul", bias: float = 0.0) -> str:
        stored = {**words, "c": words["c"] + np.float32(bias)}
        nodes = [
            make.make_node("Conv", ["x", "w", "b"], ["1"], "conv", pads=[1, 1, 1, 1]),
            make.make_node("Relu", ["1"], ["2"], "relu"),
            make.make_node(middle, ["2", "gain"], ["3"], "middle"),
            make.make_node("GlobalAveragePool", ["3"], ["4"], "pool"),
            make.make_node("Flatten", ["4"], ["5"], "flat"),
            make.make_node("Gemm", ["5", "v", "c"], ["y"], "head", transB=1),
        ]
        graph = make.make_graph(
            nodes,
            "net",
            [make.make_tensor_value_info("x", real, ["n", 1, 8, 8])],
            [make.make_tensor_value_info("y", real, ["n", 10])],
            [onnx.numpy_helper.from_array(array, key) for key, array in stored.items()],
        )
        opset = [make.make_opsetid("", 13)]
        onnx.save(make.make_model(graph, opset_imports=opset, ir_version=8), name)
        return name

    write.words = words
    return write


def load(spec: str) -> torch.nn.Module:
    return load_model(spec, num_classes=10, in_channels=1)


def test_a_file_computes_what_its_graph_says(file):
    model = load(file())
    x = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    w, b, gain, v, c = (torch.from_numpy(word) for word in file.words.values())
    hidden = torch.conv2d(x, w, b, padding=1).relu() * gain
    expected = hidden.mean((2, 3)) @ v.T + c
    assert not model.training
    torch.testing.assert_close(model(x), expected)


def test_a_weight_that_is_named_again_is_found(file):
    import onnx

    model = onnx.load(file())
    conv = model.graph.node[0]
    conv.input[2] = "again"
    alias = [
        onnx.helper.make_node("Identity", [a], [b]) for a, b in (("b", "bias"), ("bias", "again"))
    ]
    nodes = [*alias, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, "aliased.onnx")
    x = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(load("aliased.onnx")(x), load("net.onnx")(x))


def test_its_weights_are_in_the_digest(file):
    assert model_digest(load(file())) == model_digest(load(file("again.onnx")))
    assert model_digest(load(file())) != model_digest(load(file("other.onnx", bias=1.0)))


@pytest.mark.parametrize("target", ["weights", "activations"])
def test_a_campaign_and_each_of_its_trials(file, target, tmp_path):
    settings = {"model": file(), "mode": "random", "trials": 6, "flips": (2,), "limit": 20}
    lines = []
    for replay in (True, False):
        config = CampaignConfig(**settings, target=target, out=str(tmp_path / str(replay)),
                                replay=replay)  # fmt: skip
        directory = run_campaign(config).directory
        lines.append((directory / "trials-0.jsonl").read_bytes())
    assert lines[0] == lines[1]
    assert reproduce(directory, 3).differences == []


def test_the_command_line_takes_it(file, capsys, tmp_path):
    path = tmp_path / file()
    assert main(["inspect", "--model", str(path)]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("conv.weight", "head.bias", "initializers."))
    options = ["--mode", "random", "--trials", "1", "--limit", "5", "--flips", "1"]
    assert main(["campaign", "--model", str(path), *options]) == 0
    assert (tmp_path / "runs" / "random-net-digits-1").is_dir()


def test_a_changed_file_is_another_model(file, tmp_path):
    settings = {
        "mode": "random",
        "trials": 2,
        "flips": (1,),
        "limit": 5,
        "out": str(tmp_path / "c"),
    }
    run_campaign(CampaignConfig(model=file(), **settings))
    file(bias=1.0)
    with pytest.raises(FaultSimError, match="model digest"):
        run_campaign(CampaignConfig(model="net.onnx", resume=True, **settings))


def test_what_is_no_model_or_cannot_be_converted_is_one_line(file, tmp_path):
    for name, content in (("text.onnx", b"not a model"), ("empty.onnx", b"")):
        (tmp_path / name).write_bytes(content)
        refused(name, f"{name} holds no ONNX model")
    refused("missing.onnx", "no ONNX model at missing.onnx")
    refused(file(middle="Unheard"), "net.onnx cannot be converted to torch: .*Unheard")


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx2torch", None)
    refused("net.onnx", r"net.onnx needs .* pip install 'faultsim\[onnx\]'")


def refused(spec: str, message: str) -> None:
    with pytest.raises(FaultSimError, match=message) as error:
        load(spec)
    assert "\n" not in str(error.value)
