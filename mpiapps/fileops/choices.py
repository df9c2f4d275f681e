"""Values of the options of `mpiapps.files`; imports neither NumPy nor MPI."""

from mpiapps.base.registry import registry

# Operation -> a function of a `mpiapps.fileops.operations.FileRun` that returns values
# for the record, and the lines of the output. Other packages add entry points.
OPERATIONS = registry(
    "file_operations",
    {
        "count": "mpiapps.fileops.operations:count",
        "hash": "mpiapps.fileops.operations:manifest",
        "flip": "mpiapps.fileops.operations:flip",
        "resize": "mpiapps.fileops.operations:resize",
        "histogram": "mpiapps.fileops.operations:histogram",
        "describe": "mpiapps.fileops.describe:describe",
        "group": "mpiapps.fileops.group:group",
        "sample": "mpiapps.fileops.sample:sample",
        "convert": "mpiapps.fileops.convert:convert",
        "map": "mpiapps.fileops.operations:map_files",
    },
)
# Operations on tables, which skip files and directories named _* and .*
TABLES = ("histogram", "describe", "group", "convert")
IMAGES = ("flip", "resize")  # operations on images
COUNTS = ("lines", "words", "characters", "bytes")
ENCODINGS = ("utf-8", "bytes")  # those of wc in the locales C.UTF-8 and C
# Value of --algorithm -> constructor; names as of md5sum, b2sum and xxh128sum.
ALGORITHMS = {
    "sha256": "hashlib:sha256",
    "sha512": "hashlib:sha512",
    "sha1": "hashlib:sha1",
    "md5": "hashlib:md5",
    "b2": "hashlib:blake2b",
    "xxh64": "xxhash:xxh64",
    "xxh128": "xxhash:xxh128",
}
# Value of --transform -> name in Pillow's `Image.Transpose`.
TRANSPOSITIONS = {
    "left-right": "FLIP_LEFT_RIGHT",
    "top-bottom": "FLIP_TOP_BOTTOM",
    "90": "ROTATE_90",
    "180": "ROTATE_180",
    "270": "ROTATE_270",
    "none": "",
}
# File name suffix of a result -> name of its format in Pillow.
FORMATS = {
    "avif": "AVIF",
    "bmp": "BMP",
    "gif": "GIF",
    "jp2": "JPEG2000",
    "jpeg": "JPEG",
    "jpg": "JPEG",
    "pdf": "PDF",
    "png": "PNG",
    "tif": "TIFF",
    "tiff": "TIFF",
    "webp": "WEBP",
}
MAX_PIXELS, MAX_FACTOR = 65_535, 100.0  # of width and height; 65,535: the limit of JPEG
HEADERS = ("auto", "yes", "no")
CHARACTER_NAMES = {r"\t": "\t", "tab": "\t", "space": " "}


def parse_fraction(text: str) -> float:
    """Return a number above 0 and up to 1.

    Raises
    ------
    ValueError
        If it is anything else.
    """
    return _positive(text, 1.0, "fraction", "0.01")


def parse_factor(text: str) -> float:
    """Return a number above 0 and up to `MAX_FACTOR`.

    Raises
    ------
    ValueError
        If it is anything else.
    """
    return _positive(text, MAX_FACTOR, "factor", "0.5")


def _positive(text: str, largest: float, name: str, example: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number <= largest:
        raise ValueError(
            f"{text!r} is not a {name} above 0 and up to {largest:g}, such as {example}"
        )
    return number


def parse_size(text: str) -> tuple[int, int]:
    """Return width and height in pixels of ``800x600``, ``800x`` or ``x600``.

    0 stands for one that is not given.

    Raises
    ------
    ValueError
        If it is anything else, or a number is over `MAX_PIXELS`.
    """
    width, cross, height = text.partition("x")
    digits = (width + height).isascii() and (width + height).isdigit()
    size = (int(width or 0), int(height or 0)) if cross and digits else (0, 0)
    given = [n for n, part in zip(size, (width, height), strict=True) if part]
    if not given or not all(0 < n <= MAX_PIXELS for n in given):
        raise ValueError(
            f"{text!r} is not a size in pixels up to {MAX_PIXELS}, such as 800x600,"
            " 800x or x600"
        )
    return size


def parse_percentiles(text: str) -> tuple[float, ...]:
    """Return the numbers from 0 to 100 in a list separated by commas.

    Raises
    ------
    ValueError
        If one is anything else, or the same as another one.
    """
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = (-1.0,)
    if not all(0 <= number <= 100 for number in numbers):
        raise ValueError(f"{text!r} is not a list of percentiles, such as 5,50,95")
    if len({*numbers}) < len(numbers):
        raise ValueError(f"{text!r} has the same percentile twice")
    return numbers


def parse_character(text: str) -> str:
    r"""Return the ASCII character that `text` is or names, such as ``\t`` or ``tab``.

    Raises
    ------
    ValueError
        If it is anything else, or a line end.
    """
    character = CHARACTER_NAMES.get(text, text)
    plain = len(character) == 1 and character.isascii() and character not in "\r\n"
    if character and not plain:
        raise ValueError(f"{text!r} is not one ASCII character, such as ';' or tab")
    return character
