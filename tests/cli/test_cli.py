"""The command line as people type it, mostly in process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from faultsim.cli import main
from faultsim.cli.parsing import parse

QUICK = ["campaign", "--mode", "random", "--trials", "2", "--limit", "8"]


@pytest.fixture
def campaign(tmp_path, capsys):
    def run(*flags: str) -> tuple[int, str, str]:
        code = main([*QUICK, "--out", str(tmp_path / "out"), *flags])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def one_line(code: int, out: str, err: str) -> str:
    assert code == 2
    assert err.count("\n") == 1
    assert err.startswith("faultsim: ")
    assert "Traceback" not in out + err
    return err


def test_a_campaign_prints_its_table_and_directory(campaign, tmp_path):
    code, out, _ = campaign("--flips", "1", "16")
    assert code == 0
    assert "Golden accuracy" in out
    assert str(tmp_path / "out") in out.replace("\n", "")
    journal = (tmp_path / "out" / "trials-0.jsonl").read_text().splitlines()
    assert [json.loads(line)["flips"] for line in journal] == [1, 1, 16, 16]


def test_a_model_that_cannot_be_cut_is_told(campaign, tmp_path, monkeypatch):
    code = "import torch\n\n\nclass make(torch.nn.Linear):\n    def __init__(self, num_classes):\n"
    code += "        super().__init__(64, num_classes)\n\n    def forward(self, x):\n"
    code += "        return super().forward(x[:, 0, ::4, ::4].flatten(1))\n"
    (tmp_path / "whole.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    assert "every trial runs all of it" in campaign("--model", "whole:make")[1]
    plain = campaign("--out", str(tmp_path / "b"), "--model", "whole:make", "--no-replay")[1]
    assert "every trial" not in plain


def test_worst_case_prints_ranked_flips_beside_random_ones(campaign):
    code, out, _ = campaign(
        "--mode", "worst-case", "--flips", "1", "--include", "head", "--bits", "23-30"
    )
    assert code == 0
    assert "Ranked flips, worst-case" in out
    assert "bit 30 (exponent) flip" in out
    assert "without the top exponent bit" in out
    assert "at random" in out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--include", "nothing.*"], "matches none of the"),
        (["--bits", "40"], "float32 has bits 0 to 31"),
        (["--bits", "exponents"], "not understood"),
        (["--checkpoint", "none.pt"], "no checkpoint at none.pt"),
        (["--data", "pathmnist", "--data-root", "nowhere"], "does not exist"),
        (["--model", "resnet"], "unknown model"),
        (["--model", "nowhere:make"], "cannot import nowhere"),
        (["--mode", "from-file", "--faults", "none.json"], "cannot read none.json"),
        (["--mode", "from-file"], "go together"),
        (["--out", "/proc/nothing/here"], "cannot write"),
        (["--trials", "0"], "at least 1"),
        (["--flips", "0"], "--flips"),
        (["--mode", "exhaustive"], "would not end"),
        (["--device", "cuda"], "CUDA"),
        (["--config", "none.toml"], "cannot read the config file"),
        (["--flips", "1000000000"], "cannot be drawn"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(campaign, flags, message, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert message in one_line(*campaign(*flags))


def test_an_existing_campaign_is_kept_and_resumed(campaign):
    assert campaign()[0] == 0
    assert "give --resume" in one_line(*campaign())
    assert campaign("--resume")[0] == 0
    assert "seed = 0, now it is 5" in one_line(*campaign("--resume", "--seed", "5"))


def test_defaults_then_config_file_then_flags(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text('mode = "bit-wise"\nflips = [3]\nseed = 7\nallow-nonfinite = true\n')
    command = parse(["campaign", "--seed", "8", "--config", str(path)])
    assert (command.mode, command.flips, command.seed, command.trials) == (
        "bit-wise",
        (3,),
        8,
        None,
    )
    assert command.allow_nonfinite
    assert parse(["campaign", f"--config={path}"]).seed == 7
    assert parse(["campaign"]).mode == "worst-case"


@pytest.mark.parametrize(
    "text",
    ["mode = 3", 'mode = "worst"', "flips = 3.5", "speed = 1", "seed = true", "= 1", 'ber = "x"'],
)
def test_config_files_that_cannot_be_used(campaign, tmp_path, text):
    path = tmp_path / "c.toml"
    path.write_text(text)
    assert "c.toml" in one_line(*campaign("--config", str(path)))


def test_inspect_lists_tensors_and_shares(capsys):
    assert main(["inspect", "--include", "head", "--bits", "exponent"]) == 0
    out = capsys.readouterr().out
    assert "11,600 bits in 2 tensors" in out
    assert "head.bias" in out


def test_reproduce_says_whether_the_outcome_is_the_same(campaign, tmp_path, capsys):
    campaign()
    assert main(["reproduce", str(tmp_path / "out"), "--trial", "1"]) == 0
    assert "outcome is the same" in capsys.readouterr().out
    journal = tmp_path / "out" / "trials-0.jsonl"
    journal.write_text(journal.read_text().replace('"correct":', '"correct":9'))
    assert main(["reproduce", str(tmp_path / "out"), "--trial", "1"]) == 1
    assert "DIFFERS" in capsys.readouterr().out
    assert main(["reproduce", str(tmp_path / "out"), "--trial", "99"]) == 2


def test_reproduce_calls_no_code_of_a_directory_that_is_not_trusted(campaign, tmp_path, capsys):
    campaign("--model", "faultsim.models:medmamba")
    flags = ["reproduce", str(tmp_path / "out"), "--trial", "0"]
    manifest = tmp_path / "out" / "manifest.json"
    manifest.write_text(manifest.read_text().replace("faultsim.models:medmamba", "evil:make"))
    said = one_line(main(flags), *capsys.readouterr())
    assert "names the code evil:make; --trust-code" in said
    assert "cannot import evil" in one_line(main([*flags, "--trust-code"]), *capsys.readouterr())


def tiny_data():
    """A few images in all three splits, quick to train on."""
    generator = torch.Generator().manual_seed(0)
    images, labels = torch.rand(12, 1, 32, 32, generator=generator), torch.arange(12) % 3
    return dict.fromkeys(("train", "val", "test"), (images, labels))


@pytest.fixture
def train_tiny(tmp_path, monkeypatch):
    """Runs ``faultsim train`` on the tiny data for two epochs."""
    monkeypatch.setitem(sys.modules, "tiny", sys.modules[__name__])
    fixed = ["train", "--epochs", "2", "--data", "tiny:tiny_data"]
    return lambda *flags: main([*fixed, "--out", str(tmp_path / "new.safetensors"), *flags])


def test_train_writes_a_checkpoint_that_loads_and_its_card(train_tiny, tmp_path, capsys):
    assert train_tiny() == 0
    out = capsys.readouterr().out
    assert "epoch   2/2  rate 1e-04  loss" in out
    assert "Test accuracy" in out
    assert "Test AUC" in out
    files = {file.name for file in tmp_path.iterdir()}
    assert files == {"new.safetensors", "new.md"}
    flags = ["--checkpoint", str(tmp_path / "new.safetensors"), "--out", str(tmp_path / "out")]
    assert main([*QUICK, "--data", "tiny:tiny_data", *flags]) == 0


def test_ctrl_c_says_how_to_go_on_and_the_training_ends_as_if_uninterrupted(
    train_tiny, tmp_path, capsys, monkeypatch
):
    import faultsim.cli.train as command
    from faultsim.models.checkpoint import read_checkpoint

    path = tmp_path / "new.safetensors"
    assert train_tiny() == 0
    whole = read_checkpoint(path)
    path.unlink()

    def interrupt(*line: object) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(command, "_line", interrupt)
        assert train_tiny() == 130
    assert "--resume" in capsys.readouterr().out
    assert "give --resume" in one_line(train_tiny(), *capsys.readouterr())
    assert train_tiny("--resume") == 0
    rest = read_checkpoint(path)
    assert all(torch.equal(rest[name], whole[name]) for name in whole)


def tiny_model(num_classes: int) -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(32 * 32, num_classes))


def test_a_model_of_ones_own_is_trained(train_tiny, tmp_path):
    assert train_tiny("--model", "tiny:tiny_model") == 0
    assert "3,075 parameters" in (tmp_path / "new.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("out", ["x.pt", "/proc/nothing/x.safetensors"])
def test_train_refuses_a_bad_out_before_it_trains(out, capsys):
    assert main(["train", "--out", out]) == 2
    captured = capsys.readouterr()
    assert "epoch" not in captured.out
    assert captured.err.count("\n") == 1


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


HEAVY = "{'torch', 'scipy', 'sklearn', 'matplotlib', 'jinja2', 'numpy'}"


@pytest.mark.parametrize("flags", [["--help"], ["campaign", "--help"], ["report", "--help"]])
def test_help_imports_nothing_heavy(flags):
    code = (
        f"import sys; from faultsim.cli import main\n"
        f"try: main({flags})\nexcept SystemExit: pass\n"
        f"loaded = {HEAVY} & set(sys.modules); assert not loaded, loaded"
    )
    result = run_python(code)
    assert result.returncode == 0, result.stderr


def test_import_is_lazy():
    code = (
        f"import sys, faultsim; assert not {HEAVY} & set(sys.modules)\n"
        "assert 'faultsim.space' not in sys.modules\n"
        "faultsim.FaultSpace; assert 'faultsim.space' in sys.modules\n"
        "assert 'faultsim.campaign' not in sys.modules and 'sklearn' not in sys.modules\n"
        "assert faultsim.perturb.pgd and faultsim.ops.flip_ and faultsim.ops.selective_scan\n"
        "assert 'torch._dynamo' not in sys.modules"
    )
    result = run_python(code)
    assert result.returncode == 0, result.stderr


def test_ctrl_c_ends_without_traceback_and_can_be_resumed(tmp_path):
    out = tmp_path / "out"
    flags = ["campaign", "--mode", "random", "--trials", "200", "--limit", "4", "--flips", "1"]
    flags += ["--out", str(out)]
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "faultsim", *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's & ignores it
    )
    first = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    printed = first + process.communicate()[0]
    assert "Golden accuracy" in first
    assert process.returncode == 130, printed
    assert "Traceback" not in printed
    assert f"--resume --out {out}" in printed.replace("\n", "")
    journal = out / "trials-0.jsonl"
    assert len(journal.read_bytes().splitlines()) < 200
    assert main([*flags, "--resume"]) == 0
    assert len(journal.read_bytes().splitlines()) == 200


def test_the_installed_script_is_the_same_program():
    script = Path(sys.executable).with_name("faultsim")
    if not script.exists():
        pytest.skip("faultsim is not installed in this environment")
    result = subprocess.run([script, "--help"], capture_output=True, text=True)
    assert result.returncode == 0
    assert "campaign" in result.stdout
