"""Gathering a distributed matrix on one rank, or on every rank."""

from __future__ import annotations

from typing import Any

from mpiapps.base.memory import available_memory
from mpiapps.comm.chunking import Array
from mpiapps.comm.consistency import checked_root, raise_together
from mpiapps.device.arrays import to_host
from mpiapps.launch.mpi import MPI
from mpiapps.linalg import operands
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.matrix_base import MatrixBase
from mpiapps.linalg.redistribute import redistribute, replicate

MIN_CHECKED_BYTES = 2**26  # below it, `to_all` does not check the available memory


class Gathering(MatrixBase):
    """Conversions of a `DistMatrix` to an array. Collective."""

    def to_root(self, root: int = 0) -> Array | None:
        """Return a copy of the whole matrix on the root, else ``None``. Collective.

        Cost: each element is sent once.
        """
        with raise_together(self.comm) as same:
            root = checked_root(self.comm, root)
            same("to_root", self, root)
        return self._to_root(root)

    def _to_root(self, root: int) -> Array | None:
        one, local = Layout.on_one(self.shape, root), to_host(self.local)
        whole = redistribute(self.comm, local, self.layout, one)
        return operands.own(whole, local) if self.comm.rank == root else None

    def to_all(self) -> Array:
        """Return a copy of the whole matrix on every rank. Collective.

        Cost: one all-gather.

        Raises
        ------
        MemoryError
            On all ranks, if the memory available on a host does not suffice.
        """
        with raise_together(self.comm) as same:
            same("to_all", self)
        self._check_memory()
        local = to_host(self.local)
        whole = replicate(self.comm, local, self.layout)
        return operands.own(whole, local)

    def _check_memory(self) -> None:
        """Raise on all ranks if a host lacks memory for the copies. Collective."""
        if self.nbytes < MIN_CHECKED_BYTES:
            return
        hosts = self.comm.allgather((MPI.Get_processor_name(), available_memory()))
        names = [name for name, _ in hosts]
        for name, free in hosts:
            ranks = names.count(name)
            if self.nbytes * ranks > free:
                raise MemoryError(
                    f"{self.shape[0]} x {self.shape[1]} elements on each of {ranks}"
                    f" ranks of {name} need {self.nbytes * ranks} bytes, but only"
                    f" {free} are available; use to_root, or write a file"
                )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """Return `to_all`, for ``np.asarray``. Collective."""
        if copy is False:
            raise ValueError(
                "copy=False: a distributed matrix cannot become an array without a copy"
            )
        return self.to_all().astype(dtype or self.dtype, copy=False)
