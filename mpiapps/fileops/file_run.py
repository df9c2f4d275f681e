"""The interface between the program and its operations."""

from __future__ import annotations

from typing import Any, Protocol

from mpiapps.app.context import RunContext
from mpiapps.device.choice import Device
from mpiapps.fileops.listing import Listing
from mpiapps.fileops.operation import Operation
from mpiapps.fileops.run_segments import SegmentResults

MAX_KEPT_NUMBERS = 2**24  # in the memory of a rank, from one pass to the next
ValuesAndLines = tuple[dict[str, Any], list[str]]  # lines of the output file


class FileRun(Protocol):
    """A run of the program: its files, and the errors of the operations on them.

    Attributes
    ----------
    ctx : RunContext
    options
        Options of the program.
    listing : Listing
    errors : dict of int to str
        Index of a failed file in the listing -> reason.
    recorded : bool
        Whether results are recorded in journals.
    notes : list of str
        Remarks for the report, in addition to the errors.
    expected : dict of str to str
        Root only: the digests of the manifest to compare with.
    device : Device, optional
        The CUDA device of this rank, with ``--device cuda``.
    """

    ctx: RunContext
    options: Any
    listing: Listing
    errors: dict[int, str]
    notes: list[str]
    recorded: bool
    expected: dict[str, str]
    device: Device | None

    def execute(self, operation: Operation, name: str = "") -> SegmentResults:
        """Run an operation on all files, recorded under a name. Collective."""
        ...
