"""The communicator helper layer: what mpi4py leaves to its user, made safe.

mpi4py stays visible: `World.comm` is an ordinary communicator, and every function here
takes one. A helper exists where it adds safety (uneven blocks, more than 2 GiB, an
error on one rank), never to rename MPI.

Each public function says who calls it: *collective* (all ranks of the communicator,
in the same order), *local* (any rank alone) or *root only*.

==============  ======================================================================
module          what is in it
==============  ======================================================================
`start`         `open_world`: start MPI, check the launch, end all ranks together
`world`         `World`: communicator, rank, size, host, timers, agreeing on errors
`partition`     balanced and weighted blocks, process grids; loads no MPI
`move`          scatter, gather, allgather, bcast of uneven blocks of any size
`plan`          `BlockPlan`: the same for many calls with one layout
`random`        `Stream`: random numbers by position; loads no MPI
`cut`           arrays as bytes, in messages of at most 1 GiB
`shared`        one copy of an array per host
`work`          `deal`: pieces of work in turn or to the rank that is free
`tasks`         `Tasks`: map, imap, submit over ranks, as a process pool does it
`teams`         `Teams`: tasks that get a communicator of several ranks each
`timers`        seconds per name, compared over ranks; loads no MPI
==============  ======================================================================
"""

from mpiapps.comm.start import open_world

__all__ = ["open_world"]
