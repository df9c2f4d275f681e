"""What may be asked for: words of the command line, without NumPy or MPI."""

COUNTS = ("lines", "words", "characters", "bytes")
ENCODINGS = ("utf-8", "bytes")  # as wc counts in the locales C.UTF-8 and C
# What is done to an image: names of Pillow's transpositions.
TURNS = {
    "left-right": "FLIP_LEFT_RIGHT",
    "top-bottom": "FLIP_TOP_BOTTOM",
    "90": "ROTATE_90",
    "180": "ROTATE_180",
    "270": "ROTATE_270",
    "none": "",
}
# The end of a result's name, and what Pillow calls its format.
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
HEADERS = ("auto", "yes", "no")
NAMES_OF_CHARACTERS = {r"\t": "\t", "tab": "\t", "space": " "}


def parse_character(text: str) -> str:
    r"""Return the one character of ASCII that a text is or names: ``\t``, ``tab``.

    Raises
    ------
    ValueError
        If it is something else, or ends a line.
    """
    character = NAMES_OF_CHARACTERS.get(text, text)
    plain = len(character) == 1 and character.isascii() and character not in "\r\n"
    if character and not plain:
        raise ValueError(f"{text!r} is not one character of ASCII, such as ';' or tab")
    return character
