"""Files read through one schema, and written whole or not at all."""

from faultsim.files.reading import (
    UNFIT,
    convert,
    decode,
    end_of_lines,
    parse,
    read_bytes,
    read_json,
    read_lines,
)
from faultsim.files.records import Count, Number, Record, Scalar, Share, Whole, json_schema
from faultsim.files.writing import locked, replacing, write_json

__all__ = [
    "UNFIT",
    "Count",
    "Number",
    "Record",
    "Scalar",
    "Share",
    "Whole",
    "convert",
    "decode",
    "end_of_lines",
    "json_schema",
    "locked",
    "parse",
    "read_bytes",
    "read_json",
    "read_lines",
    "replacing",
    "write_json",
]
