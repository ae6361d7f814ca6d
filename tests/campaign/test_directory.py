"""A campaign directory is read as one, by every reader alike, or refused by the file's name."""

from __future__ import annotations

import json
import shutil

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faultsim import CampaignConfig, run_campaign
from faultsim.campaign import reproduce
from faultsim.campaign.directory import read_campaign
from faultsim.campaign.findings import Summary
from faultsim.campaign.lines import Line, OutcomeRecord
from faultsim.campaign.manifest import Manifest
from faultsim.errors import FaultSimError, JournalError
from faultsim.files import json_schema
from faultsim.report import write_report
from faultsim.run.outcome import COUNTS, LINE


@pytest.fixture
def directory(model, dataset, tmp_path):
    config = CampaignConfig(mode="random", trials=3, flips=(1, 2), out=str(tmp_path / "a"))
    return run_campaign(config, model=model, data=dataset).directory


@pytest.fixture
def readers(model, dataset):
    """Everything that reads a campaign directory."""

    def resume(path):
        config = CampaignConfig(mode="random", trials=3, flips=(1, 2), out=str(path), resume=True)
        return run_campaign(config, model=model, data=dataset)

    return {
        "resume": resume,
        "reproduce": lambda path: reproduce(path, 0),
        "report": lambda path: write_report([path]),
    }


def everything(directory) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.mark.parametrize("change", ["masked", "faults"])
def test_a_line_that_cannot_be_is_refused(directory, readers, change):
    journal = directory / "trials-0.jsonl"
    first, *rest = journal.read_text().splitlines(keepends=True)
    line = json.loads(first)
    if change == "faults":
        line["faults"][0]["mask"] = 0
    else:
        line["masked"] += 1
    journal.write_text("".join([json.dumps(line) + "\n", *rest]))
    with pytest.raises(JournalError, match=r"line 1 of .* is damaged: .*(add up|strikes no bit)"):
        readers["report"](directory)


def one_line(read) -> bool:
    """Whether a reader takes what it is given, or refuses it in one line."""
    try:
        read()
    except FaultSimError as error:
        return str(error).isprintable()
    return True


BAD_LINES = [
    '{"trial": 9}', "[]", "null", "[" * 100_000, "", "\0", '{"trial": 0, "trial": 0}',
]  # fmt: skip


@pytest.mark.parametrize("reader", ["resume", "reproduce", "report"])
@pytest.mark.parametrize("text", BAD_LINES)
def test_a_line_that_is_no_trial_is_named_by_all_and_nothing_is_written(
    directory, readers, reader, text
):
    journal = directory / "trials-0.jsonl"
    first, _, *rest = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join([first, text + "\n", *rest, '{"torn":']))
    before = everything(directory)
    with pytest.raises(JournalError, match=r"line 2 of .*trials-0\.jsonl is damaged: ") as caught:
        readers[reader](directory)
    assert str(caught.value).isprintable()
    assert everything(directory) == before


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"n": 1.5}, r"\$\.n: expected int"),
        ({"flips": -1}, r"\$\.flips"),
        ({"loss": "huge"}, r"\$\.loss"),
        ({"acc": 2}, r"\$\.acc"),
        ({"cell": {"flips": []}}, r"\$\.cell"),
        ({"faults": [{"tensor": "gain", "index": 0, "mask": 1}]}, r"faults\[0\]: missing .* op"),
        ({"faults": [{"tensor": "gain", "index": 0, "bit": 1, "op": "flip"}]}, "field bit"),
        ({"when": "now"}, "unknown field when"),
        ({"trial": 7}, "it is trial 7, not 1"),
    ],
)
def test_the_fields_of_a_line_are_what_campaigns_write(directory, change, told):
    journal = directory / "trials-0.jsonl"
    lines = journal.read_text().splitlines()
    lines[1] = json.dumps(json.loads(lines[1]) | change)
    journal.write_text("\n".join(lines) + "\n")
    with pytest.raises(JournalError, match=f"line 2 of .*{told}"):
        read_campaign(directory)


@pytest.mark.parametrize("reader", ["resume", "reproduce", "report"])
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[]", "expected object"),
        ("", "truncated"),
        ("{}", "missing required field"),
        ('{"config": {}, "config": {}}', "missing required field"),
        ("[" * 100_000, "expected object"),
    ],
)
def test_a_manifest_that_is_none_is_named_by_all(directory, readers, reader, text, told):
    (directory / "manifest.json").write_text(text)
    before = everything(directory)
    with pytest.raises(JournalError, match=rf"manifest\.json: .*{told}"):
        readers[reader](directory)
    assert everything(directory) == before


def test_a_name_that_a_manifest_gives_twice_is_told(directory):
    path = directory / "manifest.json"
    path.write_text(path.read_text().replace('"live":', '"live": [],\n "live":'))
    with pytest.raises(JournalError, match=r"manifest\.json: 'live' is given twice"):
        read_campaign(directory)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"mode": "chess"}, "mode"),
        ({"trials": -4}, "trials"),
        ({"seed": 1.5}, "seed"),
        ({"colour": 1}, "colour"),
    ],
)
def test_settings_in_a_manifest_are_those_of_a_campaign(directory, change, told):
    path = directory / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["config"] |= change
    path.write_text(json.dumps(manifest))
    with pytest.raises(JournalError, match=rf"manifest\.json: \$\.config: .*{told}"):
        read_campaign(directory)


def test_more_trials_than_planned_are_refused_by_all(directory, readers):
    journal = directory / "trials-0.jsonl"
    last = json.loads(journal.read_text().splitlines()[-1])
    with journal.open("a") as file:
        file.write(json.dumps(last | {"trial": 6}) + "\n")
    before = everything(directory)
    for read in readers.values():
        with pytest.raises(JournalError, match=r"trials-0.jsonl has 7 trials, more than the 6"):
            read(directory)
    assert everything(directory) == before


def test_less_than_the_summary_tells_is_refused_until_it_is_resumed(directory, readers):
    journal, whole = directory / "trials-0.jsonl", everything(directory)
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:-1]))
    for name in ("reproduce", "report"):
        with pytest.raises(JournalError, match=r"summary.json tells of 3 trials of .*has 2"):
            readers[name](directory)
    readers["resume"](directory)
    assert everything(directory) == whole


def test_files_of_another_campaign_are_refused(directory, model, dataset, tmp_path):
    config = CampaignConfig(mode="random", trials=3, flips=(1, 2), seed=1, out=str(tmp_path / "b"))
    other = run_campaign(config, model=model, data=dataset).directory
    shutil.copy(directory / "manifest.json", other / "manifest.json")
    with pytest.raises(JournalError, match="was drawn from seed 1, not 0"):
        read_campaign(other)
    shutil.copy(other / "trials-0.jsonl", directory / "trials-1.jsonl")
    with pytest.raises(JournalError, match=r"trials-1\.jsonl is not of the campaign beside it"):
        read_campaign(directory)


def test_a_summary_tells_of_trials_that_there_are(directory):
    path = directory / "summary.json"
    record = {"trial": 6, "cell": {}, "acc": 0.5, "faults": []}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"damaging": [record]}))
    with pytest.raises(JournalError, match=r"summary\.json tells of trial 6"):
        read_campaign(directory)


@given(data=st.data())
def test_mutated_bytes_of_any_file_end_in_one_line(data, tmp_path_factory):
    whole = pristine(tmp_path_factory)
    name = data.draw(st.sampled_from(sorted(whole)))
    text = bytearray(whole[name])
    for _ in range(data.draw(st.integers(1, 3))):
        place, width = data.draw(st.integers(0, len(text))), data.draw(st.integers(0, 4))
        text[place : place + width] = data.draw(st.binary(max_size=4))
    path = tmp_path_factory.mktemp("mutated")
    for other, content in (whole | {name: bytes(text)}).items():
        (path / other).write_bytes(content)
    assert one_line(lambda: read_campaign(path))


_PRISTINE: dict[str, bytes] = {}


def pristine(tmp_path_factory) -> dict[str, bytes]:
    if not _PRISTINE:
        out = tmp_path_factory.mktemp("pristine") / "a"
        config = CampaignConfig(mode="random", trials=2, flips=(1,), limit=8, out=str(out))
        _PRISTINE.update(everything(run_campaign(config).directory))
    return _PRISTINE


def test_files_that_campaigns_write_fit_their_types_and_schemas_name_every_field(directory):
    kinds = {"manifest.json": Manifest, "summary.json": Summary}
    for name, kind in kinds.items():
        document = json.loads((directory / name).read_text())
        msgspec.convert(document, kind)
        known = json_schema(kind)["$defs"][kind.__name__]["properties"]
        assert document.keys() <= known.keys()
    line = json.loads((directory / "trials-0.jsonl").read_text().splitlines()[0])
    assert line.keys() <= json_schema(Line)["$defs"]["Line"]["properties"].keys()


def test_outcomes_and_their_records_have_the_same_fields():
    names = (*LINE, "raised", "events", "metrics")
    assert set(COUNTS) < set(LINE)
    assert OutcomeRecord.__struct_fields__ == names
    assert Line.__struct_fields__[-len(names) :] == names
