"""The sub-commands and their flags, as dataclasses; no torch here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tyro.conf import Positional

from faultsim.config import AnySubject, CampaignConfig, PerturbConfig, StudyConfig, TrainConfig
from faultsim.config.campaign import Mode
from faultsim.config.schema import SchemaName
from faultsim.config.settings import Settings
from faultsim.config.values import Bits, Count, NotNegative, Seed, Share, Workers
from faultsim.errors import ConfigError
from faultsim.kinds import Kind


@dataclass(frozen=True)
class Campaign(CampaignConfig):
    """Strike a model with faults, trial by trial, and record what becomes of its predictions."""

    workers: Workers = "auto"
    config: str | None = None
    """A TOML file with any of these settings; flags win over it."""
    json: bool = False
    """Print what happens as JSON lines for other programs: begin, trials (done, rate, seconds left,
    estimate), end."""


@dataclass(frozen=True)
class Plan(CampaignConfig):
    """Trials and time that a margin will take, after a pilot of which nothing is recorded."""

    workers: Workers = "auto"
    mode: Mode = "estimate"
    """Only estimate has a margin to plan for."""
    pilot: Count = 200
    """Trials of the pilot."""

    def __post_init__(self) -> None:
        """Refuses what is no estimate.

        Raises:
            ConfigError: One line that names the setting.
        """
        super().__post_init__()
        if self.mode != "estimate":
            raise ConfigError(f"--mode {self.mode} has no margin to plan for; estimate has")


@dataclass(frozen=True)
class Protect(CampaignConfig):
    """Try the same faults with and without protections: what each removes, adds, and costs."""

    mode: Mode = "random"
    """How faults are chosen: not by a search."""
    protections: tuple[str, ...] = ("secded", "ranger", "nan-guard", "abft")
    """What to compare; several at once by commas: ranger,secded."""
    budget: Share = 0.05
    """Time that a protection may take more than the bare model's to be recommended."""
    out: str | None = None
    """A folder for the record and its page; nothing is written unless given."""


@dataclass(frozen=True)
class Bounds(AnySubject):
    """Write the least and greatest output of each activation layer, for --protect ranger=FILE.

    Of samples that no campaign judges, so that a range restriction is not flattered.
    """

    split: Literal["val", "test"] = "val"
    """The samples to run."""
    layers: str | None = None
    """Name pattern of the layers; the activation functions unless given."""
    margin: NotNegative = 0.0
    """Room on either side, as a share of the width between the least and the greatest."""
    batch_size: Count = 128
    """Samples in a forward pass."""
    limit: Count | None = None
    """Use only the first samples."""
    out: str = "bounds.json"
    """The file to write."""


@dataclass(frozen=True)
class Harden(Settings):
    """Choose layers to protect for a budget, and show on fresh faults whether that holds.

    The campaign is one of single events on the bare model: random, layer-wise or exhaustive.
    """

    directory: Positional[str]
    """The campaign directory."""
    protection: str = "tmr"
    """For the layers chosen, any of --protect: tmr, secded, ranger, abft-products-recompute, ..."""
    budget: NotNegative = 0.05
    """What it may take more than the bare model, as a share of its time or memory."""
    of: Literal["time", "memory"] = "time"
    """What the budget is of."""
    rate: Literal["failure", "sdc", "due"] = "failure"
    """The harm to remove; failure is SDC or DUE."""
    seed: Seed | None = None
    """Of the fresh faults; that of the campaign and 1 unless given."""
    trials: Count | None = None
    """Fresh faults; as many as were recorded unless given."""
    out: str | None = None
    """A folder for the choice, the comparison on fresh faults, and its page."""
    trust_code: bool = False
    """Import and call the factories that the directory names, which are not of this project."""


@dataclass(frozen=True)
class Inspect(AnySubject):
    """List the tensors faults can strike: their dtypes, bits and share of the fault space."""

    target: Kind = "weights"
    """Parameters and buffers, the outputs of modules, or the hidden states of scans."""
    bits: Bits = "all"
    """Bits that may be struck: sign, exponent, mantissa, all, a bit (30) or a range (23-30)."""
    include: tuple[str, ...] = ()
    """Name patterns of the tensors to list."""
    exclude: tuple[str, ...] = ()
    """Name patterns of tensors to leave out."""
    integers: bool = False
    """List integer buffers too."""
    replay: bool = False
    """List where trials may begin, what that saves, and why not elsewhere."""


@dataclass(frozen=True)
class Perturb(PerturbConfig):
    """Perturb the test images and compare predictions with those of the clean ones."""


@dataclass(frozen=True)
class Study(StudyConfig):
    """The whole study of one model over several data sets, part by part."""

    workers: Workers = "auto"


@dataclass(frozen=True)
class Train(TrainConfig):
    """Train a model and save its checkpoint with the recipe in its metadata."""


@dataclass(frozen=True)
class Reproduce(Settings):
    """Run one recorded trial again and say whether its outcome is the same.

    A campaign whose model, data or workload is package.module:factory is run by calling that code;
    the directory names it, so without --trust-code it is refused.
    """

    directory: Positional[str]
    """The campaign directory."""
    trial: int
    """Number of the trial, from 0."""
    trust_code: bool = False
    """Import and call the factories that the directory names, which are not of this project."""


@dataclass(frozen=True)
class Fit(Settings):
    """Failures in time (FIT) of a model and its layers, from a campaign of single events."""

    directory: Positional[str]
    """The campaign directory."""
    fit_per_mbit: NotNegative | None = None
    """Events in 10^9 hours and 2^20 bits of the memory; what the campaign recorded unless given."""
    fleet: Count = 1
    """How many run at once, for the hours between failures of any."""


@dataclass(frozen=True)
class Compare(Settings):
    """Two campaigns beside each other, of two models or of one with other settings.

    Where trials struck the same faults, their outcomes are compared pair by pair. A protection is
    compared by faultsim protect.
    """

    first: Positional[str]
    """A campaign directory."""
    second: Positional[str]
    """The one to compare with it."""
    confidence: Share | None = None
    """That the interval of a difference holds, 0.95 by default; of estimates their own counts."""


@dataclass(frozen=True)
class Merge(Settings):
    """Put the shards of a campaign together, as if it had never been cut."""

    directories: Positional[tuple[str, ...]]
    """The directories of all shards, in any order."""
    out: str
    """A new directory for the whole campaign."""


@dataclass(frozen=True)
class Report(Settings):
    """Write a page of results, and figures for a paper, from recorded campaigns."""

    directories: Positional[tuple[str, ...]]
    """Campaign directories, or folders that hold some at any depth."""
    out: str | None = None
    """The page; report.html in the first directory unless given."""
    figures: str | None = None
    """A folder to write each figure to, and its data as CSV."""
    format: tuple[Literal["pdf", "svg", "png", "tex"], ...] = ()
    """Of the files in --figures, one or several; tex is the data as LaTeX. pdf unless given."""


@dataclass(frozen=True)
class Export(Settings):
    """Write the trials, faults and rates of a campaign as CSV or Parquet, for other programs."""

    directory: Positional[str]
    """The campaign directory."""
    format: Literal["csv", "parquet"] = "csv"
    """Of the files; Parquet needs pyarrow (pip install 'faultsim[export]')."""
    out: str | None = None
    """A folder for the files; export in the campaign's directory unless given."""


@dataclass(frozen=True)
class Atlas(Settings):
    """Write one page of all recorded campaigns: rates by layer and bit, protections."""

    directories: Positional[tuple[str, ...]]
    """Campaign directories, or folders that hold some at any depth."""
    out: str = "atlas.html"
    """The page."""


@dataclass(frozen=True)
class Completion(Settings):
    """Print what a shell needs to complete commands, flags and values.

    bash: faultsim completion bash > ~/.local/share/bash-completion/completions/faultsim
    """

    shell: Positional[Literal["bash", "zsh", "tcsh"]]
    """The shell."""


@dataclass(frozen=True)
class Schema(Settings):
    """Print the JSON Schema of a kind of file, for programs that read or write it."""

    kind: Positional[SchemaName]
    """A line of a journal or of observations, manifest, summary, fault file or fault model."""


@dataclass(frozen=True)
class Doctor(Settings):
    """What is installed here: versions, the native module, devices; what is missing for what."""


Command = (
    Campaign
    | Plan
    | Perturb
    | Study
    | Inspect
    | Train
    | Reproduce
    | Fit
    | Compare
    | Report
    | Export
    | Atlas
    | Schema
    | Completion
    | Doctor
)

COMMANDS: dict[str, type[Settings]] = {
    "campaign": Campaign,
    "plan": Plan,
    "perturb": Perturb,
    "study": Study,
    "inspect": Inspect,
    "train": Train,
    "reproduce": Reproduce,
    "fit": Fit,
    "compare": Compare,
    "protect": Protect,
    "bounds": Bounds,
    "harden": Harden,
    "merge": Merge,
    "report": Report,
    "export": Export,
    "atlas": Atlas,
    "schema": Schema,
    "completion": Completion,
    "doctor": Doctor,
}
"""The sub-commands by name, in the order of the help."""
