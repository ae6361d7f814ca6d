"""Name patterns: which tensors are to be struck, and what is said of one that cannot be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from faultsim.errors import FaultError, did_you_mean, shown
from faultsim.faults import Site
from faultsim.targets.transient import module_of

Patterns = str | Iterable[str] | None


def matching(
    sites: Sequence[Site], skipped: Mapping[str, str], include: Patterns, exclude: Patterns
) -> tuple[list[Site], dict[str, str]]:
    """What the patterns keep of the sites, and of what cannot be struck.

    Args:
        sites: What can be struck.
        skipped: By name, why it cannot be struck.
        include: Patterns to keep (shell wildcards; a module's name takes all below it), None for
            all.
        exclude: Patterns to leave out.

    Raises:
        FaultError: A pattern matches nothing, or only what cannot be struck; nothing is left.
    """
    names = [site.name for site in sites]
    every = [*names, *skipped]
    included = set(every) if include is None else set[str]()
    for pattern in _listed(include):
        found = _matches(every, pattern)
        _check_struck(pattern, found, names, skipped)
        included |= found
    for pattern in _listed(exclude):
        found = _matches(every, pattern)
        if not found:
            raise FaultError(_none(pattern, names))
        included -= found
    kept = [site for site in sites if site.name in included]
    if sites and not kept:
        raise FaultError("include and exclude leave no tensor in the fault space")
    return kept, {name: reason for name, reason in skipped.items() if name in included}


def _check_struck(
    pattern: str, found: set[str], names: Sequence[str], skipped: Mapping[str, str]
) -> None:
    if not found:
        raise FaultError(_none(pattern, names))
    if not found.intersection(names):
        what = said_of({name: skipped[name] for name in skipped if name in found})
        raise FaultError(f"pattern {pattern!r} matches only what cannot be struck: {what}")


def _none(pattern: str, names: Sequence[str]) -> str:
    ends = [[at for at, char in enumerate(name) if char == "."] for name in names]
    modules = {name[:end] for name, at in zip(names, ends, strict=True) for end in at}
    like = did_you_mean(pattern.strip("*."), [*modules, *names])
    example = f", such as {names[0]}" if names and not like else ""
    return f"pattern {pattern!r} matches none of the {len(names)} tensors{example}{like}"


def said_of(skipped: Mapping[str, str]) -> str:
    """What is skipped in one line: the first of its names, and its reason."""
    first = next(iter(skipped))
    more = f" (and {len(skipped) - 1} more)" if len(skipped) > 1 else ""
    return f"{first}: {skipped[first]}{more}"


def _listed(patterns: Patterns) -> list[str]:
    found = [patterns] if isinstance(patterns, str) else patterns or ()
    listed = list(found) if isinstance(found, Iterable) else [found]
    for pattern in listed:
        if not isinstance(pattern, str):
            raise FaultError(f"a pattern is the name of a tensor, not {shown(pattern)}")
    return listed


def _matches(names: Sequence[str], pattern: str) -> set[str]:
    """Names that match the pattern, or have a module above them that does."""
    return {name for name in names if _matches_one(name, pattern)}


def _matches_one(name: str, pattern: str) -> bool:
    parts = name.split(".")
    prefixes = (".".join(parts[:length]) for length in range(1, len(parts) + 1))
    return any(fnmatchcase(prefix, pattern) for prefix in (*prefixes, module_of(name)))
