"""The options of `mpiapps.files`; imports neither NumPy nor MPI."""

from __future__ import annotations

from dataclasses import dataclass, fields

from mpiapps.app import option
from mpiapps.base import units
from mpiapps.device.choice import DEVICES
from mpiapps.fileops.choices import (
    ALGORITHMS,
    COUNTS,
    ENCODINGS,
    FORMATS,
    HEADERS,
    IMAGES,
    OPERATIONS,
    TABLES,
    TRANSPOSITIONS,
    parse_character,
    parse_factor,
    parse_fraction,
    parse_percentiles,
    parse_size,
)

# Operation -> required options.
NEEDS = {
    "map": ["output"],
    "flip": ["output_dir"],
    "resize": ["output_dir"],
    "histogram": ["column"],
    "group": ["column", "by"],
    "sample": ["output"],
    "convert": ["output_dir"],
}
PER_FILE = ("count", "hash")  # operations with a result for each file
# Option -> operations that use it. All operations use the others; those of other
# packages may use any.
USED_BY = {
    **dict.fromkeys(("only", "top", "encoding", "strict_utf8"), ("count",)),
    **dict.fromkeys(("device", "no_decompress"), ("count",)),
    **dict.fromkeys(("algorithm", "check"), ("hash",)),
    "transform": ("flip",),
    "output_dir": (*IMAGES, "convert"),
    "format": IMAGES,
    **dict.fromkeys(("size", "factor"), ("resize",)),
    **dict.fromkeys(("column", "header", "delimiter", "quote"), TABLES),
    "text": ("convert",),
    "by": ("group",),
    "percentiles": ("describe",),
    **dict.fromkeys(("bins", "range"), ("histogram",)),
    **dict.fromkeys(("lines", "fraction", "seed"), ("sample",)),
    "per_file": PER_FILE,
    "records": ("map",),
}


@dataclass(frozen=True)
class Options:
    """The operation, its files, and its options."""

    operation: str = option(
        "", ", ".join(OPERATIONS), positional=True, metavar="OPERATION"
    )
    paths: tuple[str, ...] = option(
        (),
        "files, directories, patterns; for map, MODULE:FUNCTION before them",
        nargs="*",
        positional=True,
        metavar="PATH",
    )
    list: tuple[str, ...] = option(
        (), "file of paths, one per line or ended by zero bytes; -: standard input",
        metavar="FILE", file="read",
    )  # fmt: skip
    output: str = option(
        "", "write the result to FILE (-: standard output)", metavar="FILE", short="o",
        file="written",
    )  # fmt: skip
    only: tuple[str, ...] = option(
        (), "count: only this count", choices=COUNTS, metavar="|".join(COUNTS)
    )
    top: int = option(
        0,
        "count: report the N most frequent words; -o: write them with their counts",
        type="count",
        min=0,
    )
    encoding: str = option(
        "utf-8",
        "count: words and characters as wc in the locale C.UTF-8, or C (bytes)",
        choices=ENCODINGS,
    )
    strict_utf8: bool = option(False, "count: treat a file that is not UTF-8 as failed")
    device: str = option(
        "cpu",
        "count: where text is counted: all ranks' cores, or their CUDA devices",
        choices=DEVICES,
        changeable=True,
    )
    no_decompress: bool = option(False, "count: do not decompress compressed files")
    algorithm: str = option(
        "sha256",
        "hash: " + ", ".join(ALGORITHMS),
        choices=tuple(ALGORITHMS),
        metavar="NAME",
    )
    check: str = option(
        "",
        "hash: compare the files that a manifest names with their digests in it; -:"
        " standard input",
        metavar="MANIFEST",
        file="read",
    )
    transform: str = option(
        "left-right",
        "flip: mirroring, or rotation counterclockwise in degrees",
        choices=tuple(TRANSPOSITIONS),
    )
    output_dir: str = option(
        "", "flip, resize, convert: directory of the results", metavar="DIRECTORY"
    )
    format: str = option(
        "",
        "flip, resize: format of the results: "
        + ", ".join(FORMATS)
        + " (default: unchanged)",
        type=lambda text: text.removeprefix(".").lower(),
        choices=tuple(FORMATS),
        metavar="FORMAT",
    )
    size: tuple[int, int] | None = option(
        None,
        "resize: largest width and height in pixels; one may be left out",
        type=parse_size,
        metavar="WIDTHxHEIGHT",
    )
    factor: float | None = option(
        None,
        "resize: factor of width and height",
        type=parse_factor,
        metavar="X",
    )
    column: tuple[str, ...] = option(
        (),
        "tables: name of a column, or its number from 1; histogram, describe, convert:"
        " given several times; describe, convert: default all",
        metavar="COLUMN",
    )
    text: tuple[str, ...] = option(
        (),
        "convert: column that stays text, although all its fields are numbers",
        metavar="COLUMN",
    )
    by: tuple[str, ...] = option(
        (),
        "group: column of the keys, which are text; given several times for a key of"
        " several columns",
        metavar="COLUMN",
    )
    percentiles: tuple[float, ...] = option(
        (25.0, 50.0, 75.0),
        "describe: percentiles, separated by commas",
        type=parse_percentiles,
        metavar="LIST",
    )
    header: str = option(
        "auto",
        "tables: whether the first record is a header; auto: if it contains the"
        " name of the column, or no number",
        choices=HEADERS,
    )
    bins: int = option(50, "histogram: number of intervals", min=1, max=10**6)
    range: tuple[float, float] | None = option(
        None,
        "histogram: range of the intervals (default: all numbers)",
        type=units.parse_interval,
        metavar="LOW:HIGH",
    )
    delimiter: str = option(
        "",
        "tables: separator of columns (default: comma, tab for .tsv)",
        type=parse_character,
    )
    quote: str = option(
        '"',
        "tables: quote character; empty: no quotes",
        type=parse_character,
        metavar="CHARACTER",
    )
    lines: int = option(
        0, "sample: take N lines of all files", type="count", min=0, metavar="N"
    )
    fraction: float | None = option(
        None,
        "sample: take each line with this probability",
        type=parse_fraction,
        metavar="P",
    )
    seed: int = option(0, "sample: seed of the random numbers", min=0)
    per_file: bool = option(
        False, "count, hash: list the results of each file in the record"
    )
    records: bool = option(
        False, "map: pass an iterator over the lines of a byte range, not the path"
    )
    directory: str = option(
        "", "record results in DIRECTORY, and resume from it", metavar="DIRECTORY"
    )
    strict: bool = option(False, "stop at the first file that fails")
    force_unlock: bool = option(
        False, "take over the lock of the directory from a dead run on another host"
    )


def check(options: Options) -> None:
    """Raise `ValueError` if the options are inconsistent."""
    if options.operation not in OPERATIONS:
        raise ValueError(
            f"operation {options.operation!r} is not one of {', '.join(OPERATIONS)}"
        )
    _check_use(options)
    is_map = options.operation == "map"
    if is_map and (not options.paths or ":" not in options.paths[0]):
        raise ValueError("map: MODULE:FUNCTION is required before the paths")
    if options.check and (options.paths or options.list):
        raise ValueError("--check: the files are those in the manifest; name no others")
    writes = options.output or options.per_file
    if options.operation == "hash" and not (options.check or writes):
        raise ValueError("hash: --output, --check or --per-file is required")
    if options.per_file and options.top:
        raise ValueError("--per-file: --top counts the words of all files; omit one")
    if options.strict_utf8 and options.encoding != "utf-8":
        raise ValueError(
            f"--strict-utf8 has no effect with --encoding {options.encoding}, which"
            " accepts all bytes; omit one"
        )
    if options.operation == "sample" and bool(options.lines) == bool(options.fraction):
        raise ValueError("sample: either --lines N or --fraction P is required")
    if len(options.paths) <= is_map and not (options.list or options.check):
        raise ValueError(
            "no files: name files, directories or patterns, or use --list FILE"
        )
    if options.list.count("-") > 1:
        raise ValueError("--list -: given twice, but standard input is read only once")
    for required in NEEDS.get(options.operation, ()):
        if not getattr(options, required):
            name = required.replace("_", "-")
            raise ValueError(f"{options.operation}: --{name} is required")
    if options.operation == "resize" and bool(options.size) == bool(options.factor):
        raise ValueError("resize: either --size or --factor is required")
    _check_device(options)
    _check_tables(options)


def _check_use(options: Options) -> None:
    """Raise `ValueError` if an option has no effect on the operation."""
    if not OPERATIONS[options.operation].startswith("mpiapps."):
        return
    for field in fields(options):
        operations = USED_BY.get(field.name, OPERATIONS)
        is_default = getattr(options, field.name) == field.default
        if not is_default and options.operation not in operations:
            raise ValueError(
                f"--{field.name.replace('_', '-')} applies only to"
                f" {', '.join(operations)}, not {options.operation}"
            )


def _check_device(options: Options) -> None:
    if options.device == "cpu":
        return
    if options.top or set(options.only) == {"bytes"}:
        reason = "a table of words is in the memory of the host"
        if not options.top:
            reason = "--only bytes reads no file"
        raise ValueError(f"--device {options.device}: {reason}; use --device cpu")


def _check_tables(options: Options) -> None:
    if len({*options.by}) < len(options.by):
        raise ValueError("group: --by names the same column twice")
    if options.operation == "group" and len(options.column) > 1:
        raise ValueError("group: --column is given once; describe takes several")
    is_repeated = len({*options.column}) < len(options.column)
    if options.operation in ("convert", "histogram") and is_repeated:
        raise ValueError(f"{options.operation}: --column names the same column twice")
    if options.quote and options.quote == options.delimiter:
        raise ValueError(
            f"--delimiter and --quote are both {options.quote!r}; they must differ"
        )
    if options.quote in (",", "\t") and not options.delimiter:
        raise ValueError(
            f"--quote {options.quote!r} is a delimiter by default; name another"
            " character, or the delimiter with --delimiter"
        )
