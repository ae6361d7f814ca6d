"""The data behind each figure, against journals whose numbers can be worked out by hand."""

from __future__ import annotations

import pytest

from faultsim.report.figures import (
    bits,
    components,
    diagnosis,
    error_rates,
    flips,
    heatmap,
    interplay,
    layers,
    outcomes,
    perturbation,
)
from faultsim.report.sources import read_sources
from faultsim.stats import bounded_mean, clopper_pearson, image_rate


def rows(module, *directories, **wanted):
    table = module.table(read_sources(directories))
    assert all(set(row) == set(table.columns) for row in table.rows)
    return table.where(**wanted).rows


def test_outcome_shares_and_their_intervals(layer_wise):
    found = rows(outcomes, layer_wise, condition="head, 1 flip")
    assert {row["measure"]: row["value"] for row in found} == {
        "due": 0.25, "sdc": 0.2, "benign": 0.55, "masked": 0, "any_sdc": 0.5, "any_due": 0.5,
    }  # fmt: skip
    due = next(row for row in found if row["measure"] == "due")
    expected = image_rate([5, 0], [10, 10])
    assert (due["low"], due["high"], due["n"]) == (expected.low, expected.high, 2)
    assert due["interval"] == "Gaffke over trials"


def test_diagnosis_is_of_binary_sets_only(layer_wise, tmp_path, line, write_campaign):
    assert rows(diagnosis, layer_wise) == []
    counts = {"sensitivity": 0.8, "specificity": 0.6, "missed": 1, "false_alarms": 3}
    binary = write_campaign(tmp_path / "binary", [line(0, 5, flips=1) | counts])
    values = {row["measure"]: row["value"] for row in rows(diagnosis, binary)}
    assert values == {"sensitivity": 0.8, "specificity": 0.6, "missed": 0.1, "false_alarms": 0.3}


def test_searched_curves_carry_no_interval_and_random_ones_do(worst_case):
    searched, random = rows(flips, worst_case)
    assert (searched["curve"], searched["flips"], searched["value"]) == ("worst-case", 1, 0.2)
    assert (searched["low"], searched["interval"]) == (None, "searched")
    assert (random["curve"], random["value"], random["n"]) == ("random", pytest.approx(0.85), 2)
    assert random["low"] == bounded_mean([0.9, 0.8]).low
    assert random["golden"] == 0.9


def test_layer_and_bit_wise_cells_are_no_points_of_the_flips_curve(layer_wise):
    assert rows(flips, layer_wise) == []


def test_bit_error_rates_that_differ_in_nothing_else_are_joined(tmp_path, line, write_campaign):
    for number, rate in enumerate((1e-5, 1e-4)):
        cell = line(0, 9 - number, ("stem.weight", 1), ber=rate)
        write_campaign(tmp_path / str(rate), [cell], ber=rate)
    found = rows(error_rates, tmp_path)
    assert len({row["series"] for row in found}) == 1
    assert {row["ber"]: row["value"] for row in found} == {1e-5: 0.9, 1e-4: 0.8}
    assert [row["run"] for row in found] == ["BER 0.0001", "BER 1e-05"]


def test_cells_of_the_heat_map_are_mean_drops_of_single_flips(layer_wise):
    cells = {(row["layer"], row["field"]): row for row in rows(heatmap, layer_wise)}
    head = cells["head", "exponent"]
    assert head["value"] == pytest.approx(0.4)  # of 0.8 and 0; two flips are none of its business
    assert head["n"] == 2
    assert cells["body", "mantissa"]["value"] == pytest.approx(0.1)


def test_a_cell_without_trials_has_no_value(layer_wise):
    cells = {(row["layer"], row["field"]): row for row in rows(heatmap, layer_wise)}
    assert cells["stem", "exponent"]["value"] is None
    assert cells["stem", "exponent"]["n"] == 0
    assert cells["stem", "sign"]["value"] == 0  # one trial, no harm


def test_fields_that_no_trial_met_are_shown_unless_they_were_not_to_be_struck(
    write_campaign, line, tmp_path
):
    lines = [line(0, 8, ("stem.weight", 30), flips=1)]
    fields = {
        bits: [
            row["field"] for row in rows(heatmap, write_campaign(tmp_path / bits, lines, bits=bits))
        ]
        for bits in ("all", "exponent")
    }
    assert fields == {"all": ["sign", "exponent", "mantissa"], "exponent": ["exponent"]}


def test_layers_are_ranked_by_their_drop_in_the_first_budget(layer_wise):
    found = rows(layers, layer_wise)
    assert [(row["layer"], row["n"]) for row in found] == [("head", 2), ("body", 2), ("stem", 2)]
    assert found[0]["value"] == pytest.approx(0.4)
    drops = bounded_mean([0.9 - 0.1, 0.0], -0.1, 0.9)
    assert (found[0]["low"], found[0]["high"]) == pytest.approx((drops.low, drops.high))
    assert [row["position"] for row in found] == ["late third", "middle third", "early third"]


def test_components_and_positions_are_means_over_their_trials(tmp_path, line, write_campaign):
    names = [f"layers.0.blocks.0.conv33conv33conv11.{n}.weight" for n in (1, 4)] + ["head.weight"]
    lines = [line(n, 9 - 2 * n, (name, 5), flips=1) for n, name in enumerate(names)]
    run = write_campaign(tmp_path / "a", lines, sites=dict.fromkeys(names, "float32"))
    found = {(row["grouping"], row["part"]): row for row in rows(components, run)}
    assert found["component", "convolution branch"]["value"] == pytest.approx(0.1)
    assert found["component", "convolution branch"]["n"] == 2
    assert found["component", "head"]["value"] == pytest.approx(0.4)
    assert found["position", "early third"]["value"] == 0
    assert found["position", "late third"]["value"] == pytest.approx(0.4)


def test_flips_that_happen_to_meet_in_one_layer_are_not_counted(tmp_path, line, write_campaign):
    both = line(0, 0, ("stem.weight", 1), ("stem.weight", 2), flips=2)
    assert rows(layers, write_campaign(tmp_path / "a", [both])) == []


def test_the_bit_profile_gives_drop_and_silent_corruption_by_bit(layer_wise):
    top = rows(bits, layer_wise, bit=30)
    assert {row["measure"]: row["value"] for row in top} == pytest.approx(
        {"accuracy drop": 0.4, "SDC": 0.2}
    )
    assert {row["field"] for row in top} == {"exponent"}
    (sign, _) = rows(bits, layer_wise, bit=31)
    assert (sign["field"], sign["n"]) == ("sign", 1)


def test_of_one_subject_the_most_telling_mode_is_shown(layer_wise, tmp_path, line, write_campaign):
    aimed = write_campaign(
        tmp_path / "bit-wise", [line(0, 3, ("stem.weight", 7), bit=7, flips=1)], mode="bit-wise"
    )
    other = write_campaign(
        tmp_path / "other", [line(0, 8, ("stem.weight", 7), flips=1)], digest="ff" * 32
    )
    runs = {row["bit"] for row in rows(bits, layer_wise, aimed)}
    assert runs == {7}  # of the bit-wise campaign alone
    assert len({row["run"] for row in rows(bits, layer_wise, aimed, other)}) == 2
    assert {row["layer"] for row in rows(layers, layer_wise, aimed)} == {"stem", "body", "head"}


def test_layers_of_an_aimed_campaign_stand_for_those_of_a_random_one_on_other_bits(
    layer_wise, tmp_path, line, write_campaign
):
    random = write_campaign(
        tmp_path / "other", [line(0, 8, ("stem.weight", 30), flips=1)], bits="exponent"
    )
    for module, runs in ((layers, 1), (components, 1), (heatmap, 1), (bits, 2)):
        assert len({row["run"] for row in rows(module, layer_wise, random)}) == runs


@pytest.mark.parametrize("other", [{}, {"perturb": "fgsm", "attack_model": "faulty"}])
def test_perturbed_images_are_another_subject(other, tmp_path, line, write_campaign):
    lines = [line(0, 8, ("stem.weight", 7), layer="stem", flips=1)]
    write_campaign(tmp_path / "a", lines, mode="layer-wise", perturb="fgsm")
    write_campaign(tmp_path / "b", lines, **other)
    for module in (heatmap, layers, components, bits):
        assert len({row["run"] for row in rows(module, tmp_path)}) == 2


@pytest.mark.parametrize("module", [heatmap, layers, components, bits])
def test_a_search_is_no_sample_of_layers_or_bits(module, worst_case):
    assert rows(module, worst_case) == []


@pytest.mark.parametrize("module", [outcomes, heatmap, layers, components, bits])
def test_exhaustive_results_carry_no_interval(module, tmp_path, line, write_campaign):
    lines = [line(n, 9 - n, ("stem.weight", n), sdc=n, tensor="stem.weight") for n in range(3)]
    found = rows(module, write_campaign(tmp_path / "a", lines, mode="exhaustive"))
    assert found
    assert {row["low"] for row in found} == {None}
    assert {row["interval"] for row in found} <= {"exhaustive", "no trials"}


def test_integers_have_fields_of_their_own(tmp_path, line, write_campaign):
    lines = [line(0, 8, ("stem.weight", 7), flips=1), line(1, 9, ("stem.weight", 0), flips=1)]
    run = write_campaign(tmp_path / "a", lines, sites={"stem.weight": "int8"})
    assert [row["field"] for row in rows(heatmap, run)] == ["sign", "magnitude"]


def test_perturbation_curves_have_their_strength_and_the_clean_value(
    tmp_path, write_perturbation, pgd
):
    found = rows(perturbation, write_perturbation(tmp_path / "a", pgd))
    assert [row["strength"] for row in found] == [1 / 255, 2 / 255, 4 / 255]
    assert {(row["kind"], row["parameter"], row["clean"]) for row in found} == {
        ("pgd", "eps", 0.95)
    }
    assert found[0]["low"] == clopper_pearson(80, 100).low
    assert {row["variant"] for row in found} == {""}  # the steps are the same in all


def test_severity_is_the_strength_where_it_was_given_and_grids_are_variants(
    tmp_path, write_perturbation
):
    noise = {"sigma": 0.1, "severity": 3, "profile": "retina"}
    recorded = [{"kind": "gaussian-noise", "parameters": noise, "hundredths": 70}]
    recorded += [
        {"kind": "patch-drop", "parameters": {"grid": grid, "fraction": 0.5}, "hundredths": 60}
        for grid in (4, 7)
    ]
    found = rows(perturbation, write_perturbation(tmp_path / "a", recorded))
    assert (found[0]["parameter"], found[0]["strength"]) == ("severity", 3)
    assert [row["variant"] for row in found[1:]] == ["grid 4", "grid 7"]


def variants(directory, write_perturbation, kind, *parameters):
    recorded = [{"kind": kind, "parameters": given, "hundredths": 50} for given in parameters]
    found = rows(perturbation, write_perturbation(directory, recorded))
    return [row["variant"] for row in found]


def test_steps_of_another_share_are_another_curve(tmp_path, write_perturbation):
    eps = [{"eps": n / 255, "step": n / 1020} for n in (1, 2, 4)]
    found = variants(tmp_path / "a", write_perturbation, "pgd", *eps)
    assert set(found) == {""}
    other = {"eps": 1 / 255, "step": 1 / 255}
    found = variants(tmp_path / "b", write_perturbation, "pgd", *eps, other)
    assert found == [*["step / ε 0.25"] * 3, "step / ε 1"]
    fixed = [{"eps": n / 255, "step": 1 / 255} for n in (1, 2)]
    assert set(variants(tmp_path / "c", write_perturbation, "pgd", *fixed)) == {""}


def test_what_a_severity_stands_for_tells_no_curves_apart(tmp_path, write_perturbation):
    def blur(severity, profile, radius, alias):
        of = {"severity": severity, "profile": profile}
        return {"radius": radius, "alias_sigma": alias} | of

    given = [blur(1, "x", 0.3, 0.4), blur(2, "x", 0.4, 0.5), blur(1, "y", 3.0, 0.1)]
    found = variants(tmp_path / "a", write_perturbation, "defocus-blur", *given)
    assert found == ["profile x", "profile x", "profile y"]
    given = [{"radius": 1.0, "alias_sigma": sigma} for sigma in (0.1, 0.2)]
    found = variants(tmp_path / "b", write_perturbation, "defocus-blur", *given)
    assert found == ["alias_sigma 0.1", "alias_sigma 0.2"]


def test_auc_is_a_curve_where_it_is_defined(tmp_path, write_perturbation, pgd):
    recorded = [{**row, "auc": clopper_pearson(50, 100).to_json()} for row in pgd]
    run = write_perturbation(tmp_path / "a", recorded)
    assert {row["measure"] for row in rows(perturbation, run)} == {"accuracy"}  # clean has none


def test_the_excess_is_what_both_take_beyond_each_alone(tmp_path, line, write_campaign):
    """Clean 1.0, perturbed alone 0.9 (golden); two trials of faults, with and without it."""
    lines = [
        line(n, both, flips=1) | {"clean_acc": alone / 10}
        for n, (alone, both) in enumerate([(8, 5), (9, 8)])
    ]
    clean = {"n": 10, "acc": 1.0}
    run = write_campaign(tmp_path / "a", lines, clean=clean, perturb="pgd:eps=1/255")
    found = {row["measure"]: row for row in rows(interplay, run)}
    assert {name: row["value"] for name, row in found.items()} == pytest.approx(
        {"faults alone": 0.85, "both": 0.65, "excess loss": 0.1}
    )
    excess = bounded_mean([0.8 - 0.5 - 0.1, 0.9 - 0.8 - 0.1], -1.1, 0.9)
    assert (found["excess loss"]["low"], found["excess loss"]["high"]) == pytest.approx(
        (excess.low, excess.high)
    )
    assert {(row["clean"], row["perturbed alone"]) for row in found.values()} == {(1.0, 0.9)}
    assert {row["perturbation"] for row in found.values()} == {"pgd:eps=1/255"}


def test_campaigns_on_clean_images_have_no_interplay(layer_wise):
    assert rows(interplay, layer_wise) == []


def test_a_bit_wise_campaign_stands_for_the_bits_of_its_model_and_data(
    write_campaign, line, tmp_path
):
    flips = [line(n, 5, ("head.weight", n), bit=n, flips=1) for n in range(3)]
    for mode, target in (("bit-wise", "weights"), ("random", "activations")):
        write_campaign(tmp_path / mode, flips, mode=mode, target=target)
    runs = {row["run"] for row in rows(bits, tmp_path)}
    assert len(runs) == 1
    assert "bit-wise" in runs.pop()
