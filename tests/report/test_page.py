"""The page: complete, self-contained, escaped, the same every time."""

from __future__ import annotations

import json
import re
import shlex
from html.parser import HTMLParser
from pathlib import Path

import pytest

from faultsim import CampaignConfig, run_campaign
from faultsim.errors import JournalError
from faultsim.report import overview, write_report
from faultsim.report.entries import entries
from faultsim.report.sources import read_sources
from faultsim.report.words import text as shown_as


class Parsed(HTMLParser):
    """Tags with their attributes, ids and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def all(self, name: str) -> list[dict]:
        return [attrs for tag, attrs in self.tags if tag == name]


@pytest.fixture
def page(tmp_path):
    def write(*directories: Path) -> str:
        return write_report(directories, tmp_path / "report.html").page.read_text()

    return write


def test_every_figure_is_there_with_caption_data_and_description(whole):
    text = whole.read_text()
    parsed = Parsed(text)
    names = {"outcomes", "flips", "heatmap", "layers", "components", "bits", "perturbation"}
    assert names <= {attrs["id"] for attrs in parsed.all("h2")}
    assert len(parsed.all("svg")) == 2 * len(names)  # wide and narrow
    assert len(parsed.all("figcaption")) == len(names)
    for svg in parsed.all("svg"):
        assert svg["role"] == "img"
        assert svg["aria-label"]
    assert text.count("<b>Figure") == text.count("<summary>Data of figure") == len(names)
    assert "n = 1 to 2. 95 % intervals: bound, all trials alike" in parsed.text
    assert "2 fault-injection campaigns, 11 trials, 1 perturbation run" in parsed.text


def test_sections_without_data_are_left_out(page, small):
    parsed = Parsed(page(small))
    ids = {attrs["id"] for attrs in parsed.all("h2")}
    assert ids == {"runs", "by-trial", "outcomes", "distribution", "configuration"}


def test_nothing_is_fetched(whole):
    text = whole.read_text()
    assert not re.search(r"https?:|@import|//\w+\.\w", text)
    for tag, attrs in Parsed(text).tags:
        assert not {"src", "srcset", "data", "action"} & attrs.keys(), tag
        for name in ("href", "xlink:href"):
            assert attrs.get(name, "#").startswith(("#", "data:,")), attrs
    assert set(re.findall(r"url\((.)", text)) <= {"#"}


def test_anchors_lead_somewhere_and_are_unique(whole):
    parsed = Parsed(whole.read_text())
    ids = [attrs["id"] for _, attrs in parsed.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    targets = {a["href"][1:] for a in parsed.all("a")}
    targets |= {use["xlink:href"][1:] for use in parsed.all("use")}
    assert targets <= set(ids)


def test_headings_tables_and_scrolling_parts_are_accessible(whole):
    parsed = Parsed(whole.read_text())
    assert [tag for tag, _ in parsed.tags].count("h1") == 1
    for attrs in parsed.all("div"):
        if attrs["class"] == "narrow drawing":  # fits, and has nothing to scroll
            continue
        assert attrs["role"] == "region"
        assert attrs["tabindex"] == "0"
        assert attrs["aria-label"]
    assert all(attrs["scope"] in ("col", "row") for attrs in parsed.all("th"))
    assert "width=device-width, initial-scale=1" in [
        meta.get("content") for meta in parsed.all("meta")
    ]


def test_names_from_outside_are_escaped(page, write_campaign, line, tmp_path):
    evil = "<script>alert('x')</script>&$x_1$"
    record = {"trial": 0, "cell": {"layer": evil, "flips": 1}, "acc": 0.1, "faults": [evil]}
    run = write_campaign(
        tmp_path / "a",
        [line(0, 1, (f"{evil}.weight", 30), layer=evil, flips=1)],
        sites={f"{evil}.weight": "float32"},
        summary={"damaging": [record], "worst": {evil: [evil]}},
        mode="layer-wise",
        data=evil,
        model=evil,
    )
    text = page(run)
    assert "<script>alert" not in text
    assert text.count("<script>") == 1  # the page's own
    assert Parsed(text).text.count(evil) > 5
    assert "$x_1$" in "".join(re.findall(r"<svg.*?</svg>", text, re.DOTALL))


def test_the_same_records_give_the_same_bytes(whole, tmp_path):
    again = write_report([whole.parent], tmp_path / "again.html").page
    assert again.read_bytes() == whole.read_bytes()


def test_a_users_matplotlib_settings_have_no_say_and_stay(page, small):
    import matplotlib

    usual = page(small)
    with matplotlib.rc_context({"font.size": 30, "text.usetex": True, "axes.grid": False}):
        assert page(small) == usual
        assert matplotlib.rcParams["font.size"] == 30


def test_damaging_faults_and_searched_ones_have_their_values(whole):
    text = Parsed(whole.read_text()).text
    assert text.count("stem.weight[0] bit 30 (exponent) flip: 0.5 → 1.7e38") == 2
    assert "Found by search, worst-case" in text


def test_findings_are_said_first(whole, page, small):
    text = Parsed(whole.read_text()).text
    assert "1 flip found by search takes test accuracy from 90.0% to 20.0%; as many" in text
    text = Parsed(page(small)).text
    assert "Under 4 random flips mean test accuracy is 80.0% [" in text
    assert "from 90.0% without; 70.0% in the worst of 3 trials." in text


def test_many_faults_of_a_trial_are_counted(page, write_campaign, line, tmp_path):
    faults = [("stem.weight", bit) for bit in range(30)]
    record = {"trial": 0, "cell": {"flips": 30}, "acc": 0.1, "faults": ["a", "b", "c", "d"]}
    run = write_campaign(
        tmp_path / "a", [line(0, 1, *faults, flips=30)], summary={"damaging": [record]}
    )
    assert "a\nb\nc\nand 27 more" in Parsed(page(run)).text


def test_an_unfinished_campaign_is_reported_from_its_journal_and_marked(
    page, write_campaign, line, tmp_path
):
    lines = [line(n, 5, ("stem.weight", 3), flips=n + 1) for n in range(2)]
    run = write_campaign(tmp_path / "a", lines, summary=None)
    with (run / "trials-0.jsonl").open("a") as journal:
        journal.write('{"trial": 2, "torn')
    text = Parsed(page(run)).text
    assert "Unfinished:" in text
    assert "2 trials, is reported" in text
    assert "Accuracy against the number of flips" in text


@pytest.mark.parametrize("summary", [None, {}])
def test_an_empty_journal_gives_a_page_without_figures(page, write_campaign, tmp_path, summary):
    text = page(write_campaign(tmp_path / "a", [], summary=summary))
    assert "<svg" not in text
    assert "What was run" in text
    assert "--trial" not in text


def test_every_run_says_how_to_have_it_again(page, worst_case):
    text = Parsed(page(worst_case)).text
    assert (
        f"faultsim campaign --threads 1 --device cpu --flips 1\nfaultsim reproduce {worst_case}"
        in text
    )
    assert "aa" * 32 in text  # the model's digest


@pytest.mark.parametrize(
    ("known", "flags"),
    [
        ({}, []),
        ({"model": "faultsim.models:medmamba"}, []),
        ({"workload": "mynet:work"}, ["--trust-code"]),
        ({"model": "mynet:make"}, ["--trust-code"]),
        ({"op": "mynet:twist"}, ["--trust-code"]),
    ],
)
def test_a_trial_that_runs_code_of_yours_is_reproduced_with_trust(
    write_campaign, line, tmp_path, known, flags
):
    run = write_campaign(tmp_path / "a b", [line(0, 9, ("stem.weight", 3), flips=1)], **known)
    (entry,) = entries(read_sources([run]))
    expected = ["faultsim", "reproduce", str(run), "--trial", "0", *flags]
    assert shlex.split(entry.commands[1]) == expected


def test_live_objects_are_said_to_be_live(page, write_campaign, tmp_path):
    text = Parsed(page(write_campaign(tmp_path / "a", [], live=["model"]))).text
    assert "It ran on a live model" in text
    assert "Reliability of live model aaaaaa on digits" in text
    assert "faultsim campaign" not in text


@pytest.mark.parametrize(
    ("known", "listed"),
    [
        ({}, {"model", "data"}),
        ({"workload": "mynet:work"}, {"workload"}),
        ({"live": ["work"]}, set()),
        ({"live": ["model"]}, {"data"}),
        ({"live": ["data"]}, {"model"}),
    ],
)
def test_a_model_or_data_that_was_not_used_is_no_setting(write_campaign, tmp_path, known, listed):
    (entry,) = entries(read_sources([write_campaign(tmp_path / "a", [], **known)]))
    found = {name for name, value in entry.facts if value is not None}
    assert found & {"model", "data", "workload"} == listed


def test_a_perturbed_campaign_shows_its_setting_and_the_clean_run(
    page, write_campaign, line, tmp_path
):
    clean = {"n": 10, "acc": 0.8765, "auc": None}
    run = write_campaign(
        tmp_path / "a", [line(0, 5, flips=1)], summary=None, clean=clean, perturb="pgd:eps=1/255"
    )
    text = Parsed(page(run)).text
    assert "golden runs" in text.lower()
    assert "0.8765" in text
    assert "from 90.0% without faults, under pgd:eps=1/255; 50.0% in the worst" in text
    assert "random, flip in weights; under pgd:eps=1/255; seed 0" in text


def test_attacks_on_the_faulty_model_and_searches_under_one_say_so(
    page, write_campaign, line, tmp_path
):
    settings = {"perturb": "fgsm:eps=1/255", "attack_model": "faulty", "mode": "worst-case"}
    lines = [line(0, 2, curve="worst-case", flips=1)]
    run = write_campaign(tmp_path / "a", lines, clean={"n": 10, "acc": 1.0}, **settings)
    text = Parsed(page(run)).text
    under = "under fgsm:eps=1/255 against the faulty model"
    assert f"from 90.0% to 20.0%, {under}." in text
    assert f"flip in weights; {under}; seed 0" in text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"), ([], "–"), (True, "yes"), (1234567, "1,234,567"), (0.97222, "0.9722"),
        (1e-5, "1e-05"), (2.8e-17, "0"), (0.0, "0"), (1234.5678, "1235"), ([1, 2], "1, 2"),
        ({"train": 7}, "train: 7"), ("name", "name"),
    ],
)  # fmt: skip
def test_values_are_shown_as_people_write_them(value, shown):
    assert shown_as(value) == shown


def test_a_campaign_that_was_run_is_reported_with_its_values(page, model, dataset, tmp_path):
    config = CampaignConfig(
        mode="layer-wise", flips=(1, 20), bits="exponent", trials=4, out=str(tmp_path / "run")
    )
    run_campaign(config, model=model, data=dataset)
    parsed = Parsed(page(tmp_path / "run"))
    ids = {attrs["id"] for attrs in parsed.all("h2")}
    assert {"outcomes", "heatmap", "layers", "components", "bits", "damaging"} <= ids
    assert " (exponent) flip: " in parsed.text
    assert " → " in parsed.text


def test_a_damaged_record_is_named(page, write_perturbation, pgd, tmp_path):
    run = write_perturbation(tmp_path / "p", pgd)
    document = json.loads((run / "perturb.json").read_text())
    del document["clean"]
    (run / "perturb.json").write_text(json.dumps(document))
    with pytest.raises(JournalError, match=r"perturb\.json: missing required field clean"):
        page(run)


def test_columns_in_which_campaigns_do_not_differ_are_left_out(write_campaign, tmp_path):
    runs = [write_campaign(tmp_path / str(seed), [], seed=seed) for seed in (1, 2)]
    sources = read_sources(runs)
    assert {"seed", "trials"} <= set(overview.campaigns(sources).columns)
    left_out = {"images", "model and data", "state", "perturbed by"}
    assert not left_out & set(overview.campaigns(sources).columns)
    single = overview.campaigns(read_sources(runs[:1])).columns
    assert left_out - set(single) == {"perturbed by"}


def test_many_runs_of_a_figure_are_folded(page, write_campaign, line, tmp_path):
    for seed in range(9):
        write_campaign(tmp_path / "runs" / str(seed), [line(0, 5, flips=1)], seed=seed)
    folded = "Runs in figure 1, 9"
    assert folded in page(tmp_path / "runs")
    assert folded[:14] not in page(tmp_path / "runs" / "1", tmp_path / "runs" / "2")


def test_the_golden_run_of_perturbed_images_is_one_whoever_is_attacked(write_campaign, tmp_path):
    for model in ("golden", "faulty"):
        settings = {"perturb": "fgsm", "attack_model": model}
        write_campaign(tmp_path / model, [], clean={"n": 10, "acc": 1.0}, **settings)
    found = overview.golden(read_sources([tmp_path]).campaigns)
    assert [row["on"] for row in found.rows] == ["clean", "fgsm"]


def test_a_rate_that_was_estimated_is_told_with_each_bit_and_layer(page, tmp_path, model, dataset):
    out = tmp_path / "estimate"
    config = CampaignConfig(mode="estimate", margin=0.1, max_trials=60, out=str(out))
    found = run_campaign(config, model=model, data=dataset).estimate
    text = " ".join(Parsed(page(out)).text.split())
    assert f"is {found.value:.3%} [{100 * found.low:.3f}–{100 * found.high:.3f}%]" in text
    assert "Estimated rates" in text
    assert "Asked for was the rate to within ±10 percentage points" in text


def test_failures_in_time_are_told_of_each_layer(page, tmp_path, model, dataset):
    known = {"mode": "random", "fault_model": "mbu", "trials": 8}
    configs = [
        CampaignConfig(**known, out=str(tmp_path / "one")),
        CampaignConfig(**known, hours=1e6, out=str(tmp_path / "time")),
    ]
    found = [run_campaign(config, model=model, data=dataset).directory for config in configs]
    text = " ".join(Parsed(page(*found)).text.split())
    assert "Failures in time" in text
    assert "950 events of fault model mbu in 10⁹ hours and Mbit" in text
    assert "trial_failure" in text
    assert "nder 1 event of fault model mbu mean test accuracy is" in text
    assert "nder the events of fault model mbu in 1e+06 hours" in text
    assert "events of mbu in 1e+06 hours" in text
