"""The settings of a campaign."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from faultsim.config.estimate import check_estimate
from faultsim.config.faultmodel import check_fault_model
from faultsim.config.granularity import check_granularity
from faultsim.config.operators import check_operator
from faultsim.config.shard import check_shard
from faultsim.config.subject import AnySubject, Evaluation
from faultsim.config.targeted import check_target
from faultsim.config.values import Bits, Count, Index, NotNegative, Rate, Share, Strata, Workers
from faultsim.errors import ConfigError
from faultsim.kinds import Kind, When

Mode = Literal[
    "random", "layer-wise", "bit-wise", "worst-case", "exhaustive", "from-file", "estimate"
]

ATTACKS = ("fgsm", "pgd")
"""Perturbations that look at the model."""

REACHABLE = (("worst-case", "weights", "flip"), ("random", "weights", "flip"))
"""Modes, target and operator of an attacker in memory."""


@dataclass(frozen=True, repr=False)
class CampaignConfig(Evaluation, AnySubject):
    """Strike a model with faults, trial by trial, and record what becomes of its predictions."""

    mode: Mode = "worst-case"
    """How faults are chosen."""
    target: Kind = "weights"
    """What is struck: parameters and buffers, outputs of modules, hidden states of scans, what the
    model or its modules are given, results of functions between modules, or the cache that a model
    keeps from one forward pass for the next."""
    granularity: Literal["dataset", "inference"] = "dataset"
    """What a trial is: a fault set on all samples, or on one that is drawn; the rates have the same
    mean. Many trials of one sample share a pass. Those of estimate see one sample in any case: in a
    pass of its own, or, with inference, in its batch, which many share."""
    when: When = "after"
    """Strike what modules return or are given after your own hooks there, or before, so that a
    protection in a hook sees the fault."""
    flips: tuple[Count, ...] = (1, 2, 4)
    """Bits struck in a trial; each number is a cell of its own."""
    trials: Count | None = None
    """Trials in each cell; by default 100 for random, 20 a layer or bit, 10 beside worst-case."""
    ber: Rate | None = None
    """Bit-error rate, instead of flips (random, layer-wise and bit-wise); of an --op of words, the
    rate at which words are struck."""
    fault_model: str | None = None
    """Events as hardware makes them, instead of flips: seu, mbu, hbm2, gpu-sdc, or a TOML file."""
    events: tuple[Count, ...] = (1,)
    """Events of the fault model in a trial; each number is a cell of its own."""
    hours: NotNegative | None = None
    """Instead of events, as many as so many hours bring: a Poisson number in each trial."""
    fit_per_mbit: NotNegative | None = None
    """Events in 10^9 hours and 2^20 bits of the memory; that of the fault model unless given."""
    bits: Bits = "all"
    """Bits that may be struck: sign, exponent, mantissa, all, a bit (30) or a range (23-30)."""
    op: str = "flip"
    """What happens to a struck bit: flip, stuck-at-0 or stuck-at-1. Or to a word, so that --flips
    and --ber count words: random, zero, set, add, scale, gaussian (relative to the value),
    byte-shift; or an operator of your own, package.module:name."""
    operand: float | None = None
    """Of --op: the value to set, add or scale by, the relative standard deviation, the bytes; or
    what your own operator is given."""
    direction: Literal["0to1", "1to0"] | None = None
    """Strike only bits that are 0, or only bits that are 1."""
    beam: Count = 1
    """Of worst-case: how many sequences of flips the search follows side by side; 1 is greedy."""
    choose_by: Literal["objective", "loss"] = "objective"
    """Of worst-case: the flip of a step is that which lowers the objective most, ties by loss; or
    that which raises the loss most, ties by objective: steadier where one flip turns few answers,
    as in int8 weights."""
    target_class: Index | None = None
    """Of worst-case: the class that a targeted attack is to have predicted, of a classifier."""
    source_class: Index | None = None
    """Of --target-class: only samples of this class are to be taken for it; by default all."""
    target_samples: tuple[Index, ...] = ()
    """Of worst-case: numbers of the samples, as results count them from 0, that are to be taken for
    another class than theirs, or for --target-class; the search sees them."""
    stealthy: bool = False
    """Of --target-class and --target-samples: and the other samples are to be classified as
    before."""
    reach: str | None = None
    """Of worst-case and random in weights: a TOML file of the bits of a page that an attacker can
    flip, and in which direction (a Rowhammer profile)."""
    allow_nonfinite: bool = False
    """Let the worst-case search use flips that make a word or an output infinite or NaN."""
    allow_unsound: bool = False
    """Run although the model without faults is not finite, or two passes of it differ."""
    include: tuple[str, ...] = ()
    """Name patterns of the tensors to strike; a module's name takes all below it."""
    exclude: tuple[str, ...] = ()
    """Name patterns of tensors to leave alone."""
    integers: bool = False
    """Strike integer buffers too (indices, counters); a fault file may name them anyway."""
    faults: str | None = None
    """The fault file of from-file."""
    margin: Share | None = None
    """Of estimate: go on until the rate is known this well: 0.001 is ±0.1 percentage points."""
    relative: Share | None = None
    """Of estimate, instead of --margin: a share of the rate itself; 0.1 is ±10 % of it."""
    confidence: Share = 0.95
    """Of estimate: that the interval holds the rate, whenever the campaign stops."""
    rate: str = "failure"
    """Of estimate: failure (SDC or DUE), sdc, due, or an event that the task names."""
    by: Strata = "bit,layer"
    """Of estimate: the strata, between which trials are shared out as it turns out to pay: by bit,
    layer, both (bit,layer) or none."""
    part_margin: Share | None = None
    """Of estimate: go on until the rate of each layer and each bit that --by tells apart is known
    this well, too; without --margin or --relative, the whole is to be known as well."""
    max_trials: Count | None = None
    """Of estimate: stop after so many, whatever is known by then."""
    perturb: str | None = None
    """Perturb the images too: fgsm, pgd:eps=1/255,steps=20, gaussian-noise:severity=3, ..."""
    attack_model: Literal["golden", "faulty"] = "golden"
    """Compute the attacks of --perturb once on the golden model, or in each trial on the faulty."""
    protect: str | None = None
    """Protect the model, first to last: ranger,secded; of some layers or weights: tmr:conv1."""
    replay: bool = True
    """Trials run only what their faults can reach; --no-replay runs all: slower, equal outcomes."""
    workers: Workers = 1
    """Processes that run trials. auto, which commands take: one for each GPU, or for each core, so
    many --threads of which each takes; they begin once trials have taken a minute. --threads are
    those of one worker; unless given, the cores are shared out. Outcomes are the same for any
    number of workers."""
    executor: Literal["local", "ray"] = "local"
    """Where workers are: processes of this machine, or actors of a Ray cluster, of which auto has
    as many as there is room for, each with its --threads (1 unless given) or a GPU."""
    address: str | None = None
    """Of --executor ray: auto for the cluster that this machine belongs to, local for a new one on
    it, or host:port; Ray looks for itself unless given."""
    shard: str | None = None
    """Run a part of the trials: 2/8 is the second of eight, each with an --out of its own. All
    together are the campaign: faultsim merge. Of modes whose trials are independent."""
    observe: bool = False
    """Record how far the output of each module strays, trial by trial; two more passes of all."""
    out: str | None = None
    """Campaign directory; a new one under runs/ unless given."""
    resume: bool = False
    """Go on with the campaign in --out."""

    def __post_init__(self) -> None:
        """Refuses values that do not fit, and settings that do not go together.

        Raises:
            ConfigError: One line that names the setting.
        """
        super().__post_init__()
        if not self.flips:
            raise ConfigError("--flips needs one or more numbers")
        if self.ber is not None and self.mode not in ("random", "layer-wise", "bit-wise"):
            raise ConfigError(f"--ber does not go with --mode {self.mode}")
        check_target(self)
        if self.reach is not None and self.direction is not None:
            raise ConfigError("--direction does not go with --reach, whose bits have their own")
        if self.reach is not None and (self.mode, self.target, self.op) not in REACHABLE:
            raise ConfigError(
                "--reach goes with --mode worst-case or random, --target weights and --op flip"
            )
        if self.reach is not None and (self.ber is not None or self.fault_model is not None):
            raise ConfigError("--reach counts --flips: --ber and --fault-model do not go with it")
        for flag, given in (("beam", self.beam != 1), ("choose-by", self.choose_by != "objective")):
            if given and self.mode != "worst-case":
                raise ConfigError(
                    f"--{flag} does not go with --mode {self.mode}: worst-case searches"
                )
        check_estimate(self)
        check_granularity(self)
        check_operator(self)
        check_fault_model(self)
        check_shard(self)
        if self.address is not None and self.executor != "ray":
            raise ConfigError("--address is that of a Ray cluster: give --executor ray")
        if (self.mode == "from-file") != (self.faults is not None):
            raise ConfigError("--mode from-file and --faults FILE go together")
        if self.resume and self.out is None:
            raise ConfigError("--resume needs --out, the directory to go on with")
        if self.attack_model == "faulty" and (self.perturb or "").split(":")[0] not in ATTACKS:
            raise ConfigError("--attack-model faulty needs --perturb with an attack: fgsm or pgd")
        if self.direction is not None and self.target != "weights":
            raise ConfigError(
                f"--direction needs --target weights: {self.target} have no value yet"
            )
        if self.direction is not None and self.op != "flip":
            raise ConfigError(f"--direction goes with --op flip; {self.op} implies one")
