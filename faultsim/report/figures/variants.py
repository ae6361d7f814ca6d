"""Settings of a perturbation that are one curve, and what tells its curves apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from faultsim.report.perturbations import PerturbedRow

STRENGTHS = ("severity", "eps", "fraction", "sigma", "radius")
"""Parameters that say how strong a perturbation is; the first that is given is the axis."""

STEP = "step / ε"
FOLLOW = ("alias_sigma", *STRENGTHS)
"""They may follow from the strength and the other parameters."""

Parameters = Mapping[str, Any]


def strength(parameters: Parameters) -> str | None:
    """The parameter that says how strong; None where there is none."""
    return next((name for name in STRENGTHS if name in parameters), None)


def variants(rows: Sequence[PerturbedRow]) -> dict[str, str]:
    """What tells the curve of each setting from others of its kind; nothing where there is one.

    Strengths tell points apart, not curves; so does what follows from them: the step of an attack
    that is always the same share of ε, the parameters that a severity stands for.
    """
    found: dict[str, str] = {}
    for kind in dict.fromkeys((row.kind, strength(row.parameters)) for row in rows):
        alike = [row for row in rows if (row.kind, strength(row.parameters)) == kind]
        told = [_told(row.parameters) for row in alike]
        steps = {row.parameters.get("step") for row in alike}
        names = _telling(told, (STEP,) if len(steps) == 1 else ())
        for row, parameters in zip(alike, told, strict=True):
            given = [f"{name} {parameters[name]}" for name in names if name in parameters]
            found[row.setting] = ", ".join(given)
    return found


def _told(parameters: Parameters) -> Parameters:
    """With the step of an attack as a share of its strength."""
    told = {name: value for name, value in parameters.items() if name != "step"}
    if "step" in parameters and parameters.get("eps"):
        told[STEP] = f"{parameters['step'] / parameters['eps']:.3g}"
    return told


def _telling(rows: Sequence[Parameters], constant: Sequence[str]) -> list[str]:
    names = dict.fromkeys(name for row in rows for name in row if name not in constant)
    vary = [name for name in names if len({str(row.get(name)) for row in rows}) > 1]
    axis = strength(rows[0])
    free = [name for name in vary if name not in FOLLOW]
    given = [*free, *([axis] if axis else [])]
    return [name for name in vary if name in free or (name != axis and _free(rows, name, given))]


def _free(rows: Sequence[Parameters], name: str, given: Sequence[str]) -> bool:
    """Whether the parameter takes several values where the given ones have one."""
    apart = {tuple(str(row.get(key)) for key in given) for row in rows}
    return len({tuple(str(row.get(key)) for key in (*given, name)) for row in rows}) > len(apart)
