"""What a file keeps that is replaced, by every writer of whole files."""

import os
import stat
from pathlib import Path

import numpy as np
import pytest

from mpiapps.base.errors import FileAccessError
from mpiapps.linalg.hdf5 import write_hdf5
from mpiapps.linalg.npy import write_npy
from mpiapps.storage.atomic_file import AtomicFile
from tests.linalg.cases import spread, whole

pytestmark = pytest.mark.mpi


def by_root(comm, path):
    """Write as programs write records, reports and checkpoints."""
    if comm.rank == 0:
        AtomicFile(path).commit("new")
    comm.Barrier()


WRITERS = {
    "npy": lambda comm, path: write_npy(path, spread(comm, whole((5, 3)))),
    "mpiio": lambda comm, path: write_npy(
        path, spread(comm, np.eye(3)), method="mpiio"
    ),
    "hdf5": lambda comm, path: write_hdf5(path, spread(comm, np.eye(3))),
    "record": by_root,
}


@pytest.fixture(params=WRITERS)
def write(request):
    return WRITERS[request.param]


@pytest.fixture
def place(comm, tmp_path_factory):
    """A directory that all ranks share."""
    return Path(comm.bcast(str(tmp_path_factory.mktemp("whole"))))


def on_root(comm, make):
    """Do on rank 0 what all ranks are to find."""
    if comm.rank == 0:
        make()
    comm.Barrier()


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o664, 0o755])
def test_the_mode_is_kept(comm, place, write, mode):
    path = place / "x"
    on_root(comm, lambda: (path.write_bytes(b"old"), path.chmod(mode)))
    write(comm, path)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert path.read_bytes() != b"old"


@pytest.mark.parametrize("there", [True, False])
def test_a_symbolic_link_is_kept(comm, place, write, there):
    real, link = place / "elsewhere" / "y", place / "x"

    def make():
        real.parent.mkdir()
        (place / "hop").symlink_to(Path("elsewhere", "y"))
        link.symlink_to("hop")
        if there:
            real.write_bytes(b"old")

    on_root(comm, make)
    write(comm, link)
    assert link.readlink() == Path("hop")
    assert real.read_bytes()[:3] != b"old"
    assert len(list(real.parent.iterdir())) == 1


def test_another_hard_link_keeps_the_old_content(comm, place, write):
    path, other = place / "x", place / "other"
    on_root(comm, lambda: (path.write_bytes(b"old"), os.link(path, other)))
    write(comm, path)
    assert path.read_bytes() != b"old"
    assert other.read_bytes() == b"old"


def test_the_owner_is_kept(comm, place, write):
    path, mine = place / "x", (os.geteuid(), os.getegid())
    owner = mine if mine[0] else (1234, 4321)  # only root may give files away
    on_root(comm, lambda: (path.write_bytes(b"old"), os.chown(path, *owner)))
    write(comm, path)
    assert (path.stat().st_uid, path.stat().st_gid) == owner


@pytest.mark.parametrize("name", ["npy", "hdf5"])
def test_special_files_are_not_replaced(comm, place, name):
    fifo, directory = place / "fifo", place / "directory"
    on_root(comm, lambda: (os.mkfifo(fifo), directory.mkdir()))
    for path, reason in ((fifo, "Not a regular file"), (directory, "Is a directory")):
        with pytest.raises(FileAccessError, match=reason):
            WRITERS[name](comm, path)
    assert fifo.is_fifo()
