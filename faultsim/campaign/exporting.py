"""The tables of a campaign as files for other programs: CSV or Parquet."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

from faultsim.campaign.result import CampaignResult, load_result
from faultsim.campaign.trial_table import Columns, fault_columns, trial_columns
from faultsim.errors import ConfigError, did_you_mean, shown
from faultsim.files import replacing

Format = Literal["csv", "parquet"]


def export(
    directory: str | Path, out: str | Path | None = None, format: Format = "csv"
) -> list[Path]:
    """Writes ``trials``, ``faults`` and ``rates`` of a campaign, which join by ``trial``.

    Args:
        directory: Of the campaign, finished or not.
        out: A folder for the files; ``export`` in the campaign's unless given.
        format: ``csv``, or ``parquet``, which needs pyarrow.

    Returns:
        The files.

    Raises:
        ConfigError: Another format, pyarrow is missing, or a file cannot be written.
        JournalError: There is no campaign, or a damaged one.
    """
    if format not in WRITERS:
        known = ", ".join(get_args(Format))
        raise ConfigError(
            f"unknown format {shown(format)}: use one of {known}{did_you_mean(format, WRITERS)}"
        )
    result = load_result(directory)
    folder = Path(directory, "export") if out is None else Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot write {folder}: {error.strerror}") from None
    written = []
    for name, columns in tables(result).items():
        written.append(folder / f"{name}.{format}")
        with replacing(written[-1]) as draft:
            WRITERS[format](columns, draft)
    return written


def tables(result: CampaignResult) -> dict[str, Columns]:
    """The trials, the faults, and the rates of all conditions."""
    lines, manifest = result.recorded.lines, result.recorded.manifest
    rates = result.rates()
    return {
        "trials": trial_columns(lines),
        "faults": fault_columns(lines, manifest),
        "rates": {name: [row[name] for row in rates.rows] for name in rates.columns},
    }


def write_csv(columns: Columns, path: Path) -> None:
    """With a header; None is an empty field, and a number that is not finite ``nan`` or ``inf``."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def write_parquet(columns: Columns, path: Path) -> None:
    """Every column of one type; None is a null.

    Raises:
        ConfigError: There is no pyarrow.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise ConfigError(
            "--format parquet needs pyarrow, which is not installed: pip install 'faultsim[export]'"
        ) from None
    parquet.write_table(pyarrow.table(columns), path)


WRITERS: dict[str, Callable[[Columns, Path], None]] = {"csv": write_csv, "parquet": write_parquet}
