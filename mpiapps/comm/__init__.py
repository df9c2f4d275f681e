"""The communicator helper layer: safe versions of what mpi4py leaves to its user.

mpi4py stays visible: `World.comm` is an ordinary communicator, and every function here
takes one. A helper exists where it adds safety (uneven blocks, more than 2 GiB, an
error on one rank), never to rename MPI.

Each public function is marked *collective* (all ranks of the communicator call it, in
the same order), *local* (any rank alone) or *root only*.

==============  ======================================================================
module          contents
==============  ======================================================================
`open`          `open_world`: start MPI, check the launch, end all ranks together
`world`         `World`: communicator, rank, size, host, timers, agreement on errors
`partition`     balanced and weighted blocks, process grids; loads no MPI
`collectives`   scatter, gather, allgather, bcast of uneven blocks of any size
`block_plan`    `BlockPlan`: the same for many calls with one layout
`cartesian`     `CartGrid`: blocks of an n-dimensional array, scatter, gather
`halo`          `Halo`: exchange of the indices around a block
`exact_sums`    sum of an array in blocks, the same on any number of ranks
`statistics`    mean, histogram and quantiles of an array in blocks
`consistency`   errors of one rank and arguments of calls, agreed on by all ranks
`rank_log`      `log_to_stderr`: log lines with time, level, rank and host
`random`        `Stream`: random numbers by position; loads no MPI
`chunking`      arrays as bytes, in messages of at most 1 GiB
`messages`      `MessageChannel`: pickled point-to-point messages of any size
`pickling`      pickling of user objects and calls of user code
`safepoint`     `SafePoints`: checkpoints and stops at the same point on all ranks
`shared`        one copy of an array per host
`host_memory`   memory that processes without MPI map, too; loads no MPI
`timers`        seconds per name, compared over ranks; loads no MPI
==============  ======================================================================
"""

from mpiapps.comm.open import open_world

__all__ = ["open_world"]
