"""Only what an attacker in memory can reach is struck."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from faultsim import CampaignConfig
from faultsim.campaign import run_campaign
from faultsim.campaign.directory import TRIALS
from faultsim.data.workload import ImageWorkload
from faultsim.errors import ConfigError, FaultSimError, JournalError
from faultsim.faultmodels.reach import load_reach

# pages of 32 bytes: eight float32 each; each weight begins at a multiple of 16 bytes
PROFILE = "page = 32\nalign = 16\n" + "".join(
    f'[[cell]]\noffset = {offset}\ndirection = "{direction}"\n'
    for offset, direction in ((30, "0to1"), (62, "1to0"), (63, "1to0"), (95, "0to1"), (255, "0to1"))
)


def memory(model) -> dict[tuple[str, int], int]:
    """Where each word begins, in bits, by an allocator of its own."""
    found, end = {}, 0
    for name, tensor in model.state_dict().items():
        if not tensor.is_floating_point():
            continue
        end = (end + 15) // 16 * 16
        for index in range(tensor.numel()):
            found[name, index] = 8 * (end + 4 * index)
        end += 4 * tensor.numel()
    return found


@pytest.mark.parametrize("mode", ["worst-case", "random"])
def test_every_flip_is_in_the_profile(model, dataset, tmp_path, mode):
    path = tmp_path / "profile.toml"
    path.write_text(PROFILE)
    wanted = {cell.offset: cell.direction for cell in load_reach(str(path)).cell}
    place = memory(model)
    out = tmp_path / "run"
    config = CampaignConfig(mode=mode, reach=str(path), flips=(1, 2), trials=6, out=str(out))
    run_campaign(config, ImageWorkload(model, dataset))
    seen = set()
    for line in map(json.loads, (out / TRIALS).read_text().splitlines()):
        seen.add(line["cell"].get("curve", "random"))
        for fault in line["faults"]:
            mask = fault["mask"] & 0xFFFFFFFF
            offset = (place[fault["tensor"], fault["index"]] + mask.bit_length() - 1) % 256
            words = model.state_dict()[fault["tensor"]].reshape(-1).view(torch.int32)
            one = bool(int(words[fault["index"]]) & mask)
            assert wanted[offset] == ("1to0" if one else "0to1")
    assert {mode, "random"} <= seen


def test_a_profile_that_was_edited_is_noticed(model, dataset, tmp_path):
    path, work = tmp_path / "profile.toml", ImageWorkload(model, dataset)
    path.write_text(PROFILE)
    config = CampaignConfig(reach=str(path), flips=(1,), trials=2, out=str(tmp_path / "run"))
    run_campaign(config, work)
    path.write_text(f'source = "another"\n{PROFILE}')
    run_campaign(replace(config, resume=True), work)
    path.write_text(PROFILE.replace("offset = 30", "offset = 29"))
    with pytest.raises(JournalError, match="begun with reach digest"):
        run_campaign(replace(config, resume=True), work)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("page = 1", "missing required field cell"),
        ("cell = []", "no .*cell.* can be flipped"),
        ('[[cell]]\noffset = 8\ndirection = "up"', "cell"),
        ('page = 1\n[[cell]]\noffset = 8\ndirection = "0to1"', "offset 8 is beyond the last bit"),
        ('[[cell]]\noffset = 8\ndirection = "0to1"\n' * 2, "offset 8 is given twice"),
        ('pages = 3\n[[cell]]\noffset = 8\ndirection = "0to1"', "pages"),
        ("[[cell", "expected"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path, text, message):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as error:
        load_reach(str(path))
    assert "\n" not in str(error.value)


def test_other_settings_are_refused(tmp_path, model, dataset):
    with pytest.raises(ConfigError, match="--reach goes with --mode worst-case or random"):
        CampaignConfig(mode="bit-wise", reach="x.toml")
    with pytest.raises(ConfigError, match="--reach counts --flips"):
        CampaignConfig(mode="random", ber=1e-3, reach="x.toml")
    with pytest.raises(FaultSimError, match=r"cannot read .*none\.toml"):
        run_campaign(
            CampaignConfig(reach=str(tmp_path / "none.toml")), ImageWorkload(model, dataset)
        )
