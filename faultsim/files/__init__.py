"""Files read through one schema, and written whole or not at all."""

from faultsim.files.reading import UNFIT, convert, decode, parse, read_bytes, read_json, read_lines
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
    "json_schema",
    "locked",
    "parse",
    "read_bytes",
    "read_json",
    "read_lines",
    "replacing",
    "write_json",
]
