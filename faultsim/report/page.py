"""The page: one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

import faultsim
from faultsim.report import overview, words
from faultsim.report.campaigns import RecordedCampaign
from faultsim.report.differences import differences
from faultsim.report.entries import Entry, entries
from faultsim.report.estimates import estimate_sections
from faultsim.report.figures import layers, perturbation, protections
from faultsim.report.findings import findings
from faultsim.report.fits import fit_sections
from faultsim.report.measures import told
from faultsim.report.mixtures import mixture_sections
from faultsim.report.perturbations import RecordedPerturbation
from faultsim.report.protections import RecordedProtections, protection_sections
from faultsim.report.ranking import warning
from faultsim.report.rates import by_trial
from faultsim.report.render import Drawn, inline_svg
from faultsim.report.sources import Sources
from faultsim.report.table import Table

KINDS: dict[object, type] = {perturbation: RecordedPerturbation, protections: RecordedProtections}
"""What figures show that show no campaigns."""


@dataclass(frozen=True)
class Panel:
    """A figure as the page shows it.

    Attributes:
        name: Its anchor.
        title: Its heading.
        caption: What it shows, what n is and how the intervals were made.
        entries: The runs in it.
        svg: The drawing.
        narrow: The same for a narrow screen.
        doubts: Where what it shows is a ranking, how far that can be trusted.
        table: The data behind it.
    """

    name: str
    title: str
    caption: str
    entries: list[Entry]
    svg: Markup
    narrow: Markup
    doubts: list[str]
    table: Table


def page(sources: Sources, drawn: Sequence[Drawn]) -> str:
    """The report as HTML.

    Args:
        sources: What was read.
        drawn: The figures made of it.
    """
    listed = entries(sources)
    panels = [_panel(item, listed, sources) for item in drawn]
    perturbed = [panel for panel in panels if panel.name == perturbation.NAME]
    paid = [panel for panel in panels if panel.name == protections.NAME]
    struck = [panel for panel in panels if panel not in (*perturbed, *paid)]
    estimated = estimate_sections(sources.campaigns)
    fits = fit_sections(sources.campaigns)
    mixtures = mixture_sections(sources.campaigns)
    damaging = overview.damaging_sections(sources.campaigns)
    trials, changes = by_trial(sources.campaigns), differences(sources.campaigns)
    return environment().get_template("report.html").render(
        title=overview.title(sources),
        subtitle=overview.subtitle(sources),
        findings=findings(sources.campaigns),
        contents=_contents(
            {
                "by-trial": len(trials),
                "differences": len(changes),
                "estimates": len(estimated),
                "fit": len(fits),
                "mixtures": len(mixtures),
            },
            struck,
            bool(damaging),
            perturbed,
            paid,
        ),
        by_trial=trials,
        differences=changes,
        campaigns=overview.campaigns(sources),
        golden=overview.golden(sources.campaigns),
        clean=overview.clean(sources.perturbations),
        told=lambda text: told(text, sources.campaigns),
        unfinished=[run for run in sources.campaigns if run.summary is None],
        estimated=estimated,
        fits=fits,
        mixtures=mixtures,
        struck=struck,
        damaging=damaging,
        perturbed=perturbed,
        paid=paid,
        compared=protection_sections(sources.protections),
        entries=[(entry, [p for p in panels if entry in p.entries]) for entry in listed],
        style=Markup(asset("report.css")),
        script=Markup(asset("report.js")),
        version=faultsim.__version__,
    )  # fmt: skip


HEADINGS = {
    "by-trial": "Rates by trial",
    "differences": "Differences between runs",
    "estimates": "Estimated rates",
    "fit": "Failures in time",
    "mixtures": "What the fault models struck",
}


def _contents(
    sections: Mapping[str, int],
    struck: Sequence[Panel],
    damaging: bool,
    perturbed: Sequence[Panel],
    paid: Sequence[Panel],
) -> list[tuple[str, str]]:
    """Anchors and headings, in the order of the page."""
    found = [("runs", "What was run")]
    found += [(name, HEADINGS[name]) for name, rows in sections.items() if rows]
    found += [(panel.name, panel.title) for panel in struck]
    found += [("damaging", "The most damaging faults")] if damaging else []
    found += [(panel.name, panel.title) for panel in perturbed]
    found += [("pays", "Which protection pays")] if paid else []
    found += [(panel.name, panel.title) for panel in paid]
    return [*found, ("configuration", "Configuration and reproduction")]


def _panel(item: Drawn, listed: Sequence[Entry], sources: Sources) -> Panel:
    shown, kind = item.table.values("run"), KINDS.get(item.module, RecordedCampaign)
    caption = f"{item.caption} {words.sampling(item.table)}"
    ranks = item.module is layers
    runs = [run for run in sources.campaigns if ranks and run.label in shown]
    doubts = [(run.label, warning(run)) for run in runs]
    return Panel(
        name=item.module.NAME,
        title=item.title,
        caption=caption,
        entries=[e for e in listed if e.label in shown and e.kind is kind],
        svg=Markup(inline_svg(item)),
        narrow=Markup(inline_svg(item, narrow=True)),
        doubts=[f"{label}: {doubt}" for label, doubt in doubts if doubt],
        table=item.table,
    )


def environment() -> Environment:
    """Of the templates, with the filters they use."""
    environment = Environment(
        loader=PackageLoader("faultsim.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["text"] = words.text
    environment.filters["breakable"] = lambda value: Markup(words.breakable(value))
    environment.tests["sortable"] = words.sortable
    return environment


def asset(name: str) -> str:
    """The text of a file beside the templates."""
    return (files("faultsim.report") / "templates" / name).read_text(encoding="utf-8")
