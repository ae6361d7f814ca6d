"""Outcomes: the exclusive classes and their order."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from faultsim import FaultSet, FaultSpace
from faultsim.data import Dataset, Split
from faultsim.data.workload import ImageWorkload
from faultsim.errors import ConfigError, InjectionError
from faultsim.faults import Fault, Site
from faultsim.run.experiment import Experiment
from faultsim.run.golden import Golden
from faultsim.run.judge import Raised, judge
from faultsim.run.outcome import Outcome
from faultsim.run.trial import Trial
from faultsim.workload import Batch, Task
from faultsim.workload.tasks import Classification

GOLDEN = torch.tensor([[2.0, 1.0], [1.0, 2.0], [2.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
LABELS = torch.tensor([0, 1, 1, 1, 0])


def judged(logits: torch.Tensor, golden: torch.Tensor, labels: torch.Tensor, **task) -> Outcome:
    batch = Batch(torch.empty(len(labels)), labels, len(labels))
    run = Golden([batch], [golden], engine=None)
    return judge(Classification(golden.shape[1], **task), run, [logits])


def outcome_of(rows: dict[int, list[float]]) -> Outcome:
    logits = GOLDEN.clone()
    for row, values in rows.items():
        logits[row] = torch.tensor(values)
    return judged(logits, GOLDEN, LABELS)


def counts(outcome: Outcome) -> tuple[int, int, int, int]:
    return outcome.due, outcome.sdc, outcome.benign, outcome.masked


def test_identical_outputs_are_masked():
    outcome = outcome_of({})
    assert counts(outcome) == (0, 0, 0, 5)
    assert outcome.acc == 0.8
    assert outcome.max_dev == 0
    assert outcome.loss == pytest.approx(float(functional.cross_entropy(GOLDEN.double(), LABELS)))


class Texts(Task):
    """Counts how often it is asked; looks at what is no tensor too."""

    asked = 0

    def changed(self, golden, output, batch):
        self.asked += 1
        return torch.tensor([golden["text"] != output["text"]] * batch.size)

    def scores(self, outputs, batches):
        return {"asked": self.asked}


def test_a_trial_that_changes_no_bit_is_judged_once():
    task, batch = Texts(), Batch(torch.empty(2), None, 2)
    golden = Golden([batch], [{"x": torch.ones(2), "text": "as before"}], engine=None)
    same = {"x": torch.ones(2), "text": "as before"}
    outcomes = [judge(task, golden, [same], searching=search) for search in (False, False, True)]
    assert task.asked == 2  # once for trials, once for those of a search
    assert outcomes[0] == outcomes[1]
    assert judge(task, golden, [same | {"text": "other"}]).sdc == 2
    assert judge(task, golden, [same | {"x": torch.zeros(2)}]).benign == 2
    assert judge(task, golden, [Raised()]).due == 2


def test_each_image_has_one_outcome():
    outcome = outcome_of({0: [torch.nan, 9.0], 1: [3.0, 2.0], 2: [2.5, 1.0]})
    assert counts(outcome) == (1, 1, 1, 2)
    assert outcome.correct == 2
    assert outcome.max_dev == 8.0


def test_a_non_finite_output_is_due_even_if_argmax_is_right():
    outcome = outcome_of({0: [torch.inf, 0.0]})
    assert counts(outcome) == (1, 0, 0, 4)
    assert outcome.correct == 3


def test_negative_zero_is_not_masked():
    assert counts(outcome_of({3: [-0.0, 1.0]})) == (0, 0, 1, 4)


def test_outcomes_survive_json():
    outcome = outcome_of({0: [torch.inf, -torch.inf], 1: [torch.nan, 0.0]})
    line = outcome.to_json()
    assert line["loss"] == "nan"
    assert str(Outcome.from_json(line)) == str(outcome)


def test_a_trial_is_the_naive_run_of_the_struck_model(model, dataset):
    experiment = Experiment(ImageWorkload(model, dataset), batch_size=7)
    faults = FaultSpace(model, bits="exponent").sample(3, seed=4)
    outcome = experiment.run(Trial(faults, {}))
    with torch.no_grad():
        golden = torch.cat([model(batch) for batch in dataset.test.images.split(7)])
        for fault in faults:
            words = model.state_dict()[fault.tensor].view(torch.int32).view(-1)
            words[fault.index] ^= fault.mask
        faulty = torch.cat([model(batch) for batch in dataset.test.images.split(7)])
    finite = faulty.isfinite().all(1)
    assert outcome.due == int((~finite).sum())
    assert outcome.sdc == int((finite & (faulty.argmax(1) != golden.argmax(1))).sum())
    assert outcome.masked == int((faulty == golden).all(1).sum())


def test_a_forward_that_raises_under_a_fault_is_a_detected_error(dataset):
    class Guarded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            if self.scale < 0:
                raise ValueError("negative scale")
            return images.flatten(1)[:, :3] * self.scale

    model = Guarded()
    experiment = Experiment(ImageWorkload(model, dataset))
    outcome = experiment.run(Trial(FaultSpace(model, bits="sign").locate([0]), {}))
    assert counts(outcome) == (24, 0, 0, 0)
    experiment.check_intact()


def test_faults_that_never_fire_are_not_masked_trials(model, dataset):
    site = Site("head", "activations", "float32", (3,))
    faults = FaultSet.of([Fault(site, 0, 1, sample=10_000)])
    with pytest.raises(InjectionError, match="never fired"):
        Experiment(ImageWorkload(model, dataset)).run(Trial(faults, {}))


def test_a_leaked_bit_is_noticed(model, dataset):
    experiment = Experiment(ImageWorkload(model, dataset))
    experiment.check_intact()
    with torch.no_grad():
        model.gain[0] += 2**-23
    with pytest.raises(InjectionError, match="digest differs"):
        experiment.check_intact()


def test_gradients_are_those_of_the_struck_model_and_leave_no_trace(model, dataset, bits_of_model):
    model.gain.requires_grad_(False)
    before = bits_of_model(model)
    faults = FaultSpace(model, bits="sign", include="head").sample(2, seed=0)
    grads = Experiment(ImageWorkload(model, dataset)).gradients().of_weights(faults)
    assert bits_of_model(model) == before
    assert not model.gain.requires_grad
    assert all(p.grad is None for p in model.parameters())
    assert set(grads) == {name for name, _ in model.named_parameters()}
    gradients = Experiment(ImageWorkload(model, dataset)).gradients()
    golden = gradients.of_weights(FaultSet((), [], [], []))
    assert not torch.equal(grads["conv.weight"], golden["conv.weight"])


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (nn.Linear(3, 3), "fails on images of shape"),
        (nn.Flatten(0), "row an image"),
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), "has 3 classes"),
    ],
)
def test_models_that_do_not_fit_the_data(network, dataset, message):
    with pytest.raises(ConfigError, match=message):
        Experiment(ImageWorkload(network, dataset)).golden("test")


def test_one_differing_label_is_an_sdc():
    golden = torch.tensor([[1.0, -1.0], [1.0, 1.0], [-1.0, -1.0], [2.0, 2.0]])
    labels = torch.tensor([[1, 0], [1, 0], [0, 0], [1, 1]])
    logits = golden.clone()
    logits[0, 1], logits[1, 1], logits[2, 0], logits[3, 0] = 0.5, 3.0, -2.0, torch.inf
    outcome = judged(logits, golden, labels, multi_label=True)
    assert counts(outcome) == (1, 1, 2, 0)
    assert outcome.correct == 1
    assert outcome.acc == (3 / 4 + 1 / 4) / 2
    assert outcome.sensitivity is None


def diagnosis(rows: dict[int, list[float]], positive: int) -> Outcome:
    logits = GOLDEN.clone()
    for row, values in rows.items():
        logits[row] = torch.tensor(values)
    return judged(logits, GOLDEN, LABELS, positive=positive)


@given(st.integers(0, 1), st.integers(0, 1000))
def test_the_directions_of_sdc_add_up_and_swap_with_the_positive_class(positive, seed):
    noise = torch.randn(5, 2, generator=torch.Generator().manual_seed(seed))
    noise[0, 0] = torch.inf
    outcome = diagnosis(dict(enumerate(noise.tolist())), positive)
    other = diagnosis(dict(enumerate(noise.tolist())), 1 - positive)
    assert outcome.events["missed"] + outcome.events["false_alarms"] == outcome.sdc
    assert outcome.events["missed"] == other.events["false_alarms"]
    assert outcome.sensitivity == other.specificity
    line = outcome.to_json()
    assert Outcome.from_json(line) == outcome or outcome.loss != outcome.loss


def test_a_missed_disease_and_a_detected_error_both_lower_sensitivity():
    outcome = diagnosis({1: [3.0, 2.0], 3: [torch.nan, 0.0]}, positive=1)
    events = outcome.events
    assert (events["missed"], events["false_alarms"], outcome.due) == (1, 0, 1)
    assert (outcome.sensitivity, outcome.specificity) == (0.0, 1.0)


def test_lines_without_a_diagnosis_are_read():
    line = outcome_of({}).to_json()
    assert "sensitivity" not in line
    del line["events"]  # as earlier journals are
    assert Outcome.from_json(line).events == {}


def test_a_campaign_experiment_knows_a_binary_set(dataset):
    labels = [part.labels.clamp(max=1) for part in (dataset.train, dataset.val, dataset.test)]
    images = [part.images for part in (dataset.train, dataset.val, dataset.test)]
    data = Dataset("two", 2, *map(Split, images, labels), positive=0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    outcome = Experiment(ImageWorkload(network, data)).baseline()
    assert outcome.events["missed"] == 0
    assert outcome.sensitivity is not None


def test_several_labels_need_as_many_logits(dataset):
    rows = Split(dataset.test.images, torch.ones(24, 4, dtype=torch.int64))
    data = Dataset("chest", 4, rows, rows, rows)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 5))
    with pytest.raises(ConfigError, match="has 4 labels"):
        Experiment(ImageWorkload(network, data)).golden("test")
