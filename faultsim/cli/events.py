"""A campaign as JSON lines for other programs: ``--json``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from faultsim.cli.stopping import raise_again
from faultsim.pace import Pace

if TYPE_CHECKING:
    from faultsim.campaign import CampaignResult, Progress


class Events:
    """Prints what happens: ``begin``, ``trials`` twice a second at most, then ``end``."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace

    def report(self, progress: Progress) -> None:
        """Called by the campaign after the golden run and after each trial."""
        raise_again()
        if progress.trial is None:
            _print(
                "begin",
                directory=str(progress.directory),
                golden=progress.golden.to_json(),
                total=progress.total,
                resumed=progress.resumed,
                skipped=dict(progress.skipped),
            )
        if self._pace.saw(progress):
            known = self._pace.estimate(progress)
            _print(
                "trials",
                done=progress.done,
                total=progress.total,
                rate=self._pace.rate,
                left=self._pace.left(progress),
                estimate=known.to_json() if known else None,
            )

    def end(self, result: CampaignResult) -> None:
        """The campaign is over; its figures are those of ``summary.json``."""
        _print(
            "end",
            directory=str(result.directory),
            cells=[cell.to_json() for cell in result.cells],
            estimate=result.estimate.to_json() if result.estimate else None,
            reached=result.reached,
        )


def _print(event: str, **told: Any) -> None:
    print(json.dumps({"event": event, **told}, ensure_ascii=False), flush=True)
