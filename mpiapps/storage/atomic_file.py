"""A file that appears at its name only when it is complete."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from mpiapps.base.errors import FileAccessError
from mpiapps.storage.replace_file import create_temporary, real_path, replace_target


class AtomicFile:
    """Writes a file whole or not at all.

    The content goes to a temporary name in the same directory, is synced to disk and
    renamed (`mpiapps.storage.replace_file`), so that a reader of `path` gets the old
    content or the new one, also after a kill. Made before the work starts, it finds a
    target that cannot be written while that costs nothing. A device or a pipe is
    written to directly.

    Raises
    ------
    FileAccessError
        If the file cannot be made or written.
    """

    def __init__(self, path: Path) -> None:
        """Make the temporary file beside `path`, or open a device or a pipe."""
        self.path = path
        self._temporary: Path | None = None
        try:
            if path.exists() and not path.is_file():
                descriptor = os.open(path, os.O_WRONLY)
            else:
                self.path = real_path(path)
                descriptor, self._temporary = create_temporary(self.path)
        except OSError as error:
            raise self._access_error(error) from error
        self._stream = os.fdopen(descriptor, "wb")

    def commit(self, content: str | bytes) -> None:
        """Write `content` and give the file its name.

        Text is written as UTF-8; bytes that are not UTF-8 in names of files are kept.
        """
        if isinstance(content, str):
            content = content.encode(errors="surrogateescape")
        try:
            with self._stream as stream:
                stream.write(content)
            if self._temporary is not None:
                replace_target(self._temporary, self.path)
        except OSError as error:
            self.discard()
            raise self._access_error(error) from error

    def discard(self) -> None:
        """Close the file, and remove the temporary name if it still exists."""
        with suppress(OSError):  # a full device fails again when it is closed
            self._stream.close()
        if self._temporary is not None:
            self._temporary.unlink(missing_ok=True)

    def _access_error(self, error: OSError) -> FileAccessError:
        reason = error.strerror or error
        return FileAccessError(
            f"cannot write {self.path}: {reason}; name a file in a directory that"
            " exists and that you may write to"
        )
