"""A Dask cluster on the ranks of one MPI job, over distributed's public interface.

=============  =======================================================================
module         what is in it
=============  =======================================================================
`ranks`        the cluster, seen from its ranks: start, wait, end
`setup`        what it is to be like, and each rank's share of its host
`keeper`       a rank's side of the process that has Dask's parts of its host
`service`      that process: scheduler, nannies; workers are forks of its child
`quiet`        what Dask logs
`preload`      what that child has before
`leader`       the scheduler, and what it knows of a run
`worker`       what is set in a worker when it starts
`keys`         the certificate of a run
`network`      where other hosts find the root's
`folder`       where workers spill to
`script`       the user's script, and how it ended
`forward`      what a script sets is set in workers
`stand_in`     what scripts for dask-mpi import
`watch`        what ends it from outside
`mapper`       tasks on workers, by the calls of `mpiapps.comm.tasks`; or on ranks
`arrays`       arrays from .npy files, each chunk read where it is needed
`connection`   the way in for other programs
`dask_mpi`     the same by dask-mpi
=============  =======================================================================
"""
