"""Archives of files, named by a fingerprint: packed once, used by many jobs."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from mpiapps.base.errors import FileAccessError, os_errors
from mpiapps.batch.stage_items import CACHE, PLACEHOLDER, Item
from mpiapps.storage.replace_file import create_temporary, replace_target

FORMAT = "1"  # of the archives; a new one packs again
BLOCK = 4096  # bytes, of a file system
RELOCATED = ".relocated-"  # and the kind: a file with names of files with PLACEHOLDER


def fingerprint(items: Sequence[Item], *texts: str) -> str:
    """Return a digest of names, sizes, modes, times and link targets, and of texts.

    Byte code in ``__pycache__`` does not count: Python writes it at first imports.
    Contents are not read, except those that are rewritten.
    """
    digest = hashlib.sha256("\0".join((FORMAT, *texts)).encode())
    for item in items:
        if f"/{CACHE}/" not in item.name:
            status = item.status
            fields = item.name, status.st_mode, status.st_size, status.st_mtime_ns
            digest.update(repr((*fields, item.link, item.content)).encode())
    return digest.hexdigest()[:20]


def unpacked_size(items: Sequence[Item]) -> int:
    """Return the room that the files take on a host, bytes."""
    return sum(-(-item.size // BLOCK) * BLOCK for item in items)


def suffix() -> str:
    """Return the suffix of archives: zstd where this host has it, else gzip."""
    return ".tar.zst" if shutil.which("zstd") else ".tar.gz"


def write_archive(path: Path, kind: str, items: Sequence[Item], text: str = "") -> None:
    """Write the files to an archive, which appears at `path` when it is complete.

    Parameters
    ----------
    path : Path
    kind : str
        Part of the names of the files that are added.
    items : sequence of Item
    text : str
        Content of a file ``.map-KIND``, unless empty.

    Raises
    ------
    FileAccessError
        If a file cannot be read or has changed, or the disk is full.
    """
    marked = [i.name for i in items if PLACEHOLDER.encode() in (i.content or b"")]
    with os_errors(path, "write"):
        descriptor, part = create_temporary(path)
        try:
            with (
                os.fdopen(descriptor, "wb") as target,
                _compressed(target, path) as stream,
                tarfile.open(fileobj=stream, mode="w|", bufsize=2**20) as archive,
            ):
                _add_text(archive, RELOCATED + kind, "".join(f"{n}\n" for n in marked))
                if text:
                    _add_text(archive, f".map-{kind}", text)
                for item in items:
                    _add(archive, item)
            replace_target(part, path)
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def _compressed(target: IO[bytes], path: Path) -> Iterator[IO[bytes]]:
    """Yield a stream through a compressor into the file that becomes `path`.

    Only this user can read it.
    """
    os.fchmod(target.fileno(), 0o600)
    zstd = path.suffix == ".zst"
    command = ["zstd", "-q", "-3", "-T0"] if zstd else ["gzip", "-3"]
    process = subprocess.Popen(
        [*command, "-c"], stdin=subprocess.PIPE, stdout=target, stderr=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stderr is not None
    try:
        yield process.stdin
    except BrokenPipeError:
        pass  # the compressor reports why
    finally:
        with process.stderr:
            _close(process.stdin)
            printed = process.stderr.read().decode(errors="replace").strip()
            code = process.wait()
    if code:
        raise FileAccessError(f"cannot write {path.parent}: {printed or code}")


def _close(stream: IO[bytes]) -> None:
    with suppress(BrokenPipeError):
        stream.close()


def _add_text(archive: tarfile.TarFile, name: str, text: str) -> None:
    content = text.encode(errors="surrogateescape")
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


def _add(archive: tarfile.TarFile, item: Item) -> None:
    info = tarfile.TarInfo(item.name)
    info.mtime = int(item.status.st_mtime)  # byte code has the time in seconds
    info.mode = item.status.st_mode & 0o755 | 0o600
    if item.link:
        info.type, info.linkname = tarfile.SYMTYPE, item.link
        archive.addfile(info)
    elif item.content is not None:
        info.size = len(item.content)
        archive.addfile(info, io.BytesIO(item.content))
    else:
        info.size = item.status.st_size
        with Path(item.path).open("rb") as stream:
            archive.addfile(info, stream)
