"""A Dask cluster on the ranks of one MPI job, over distributed's public interface.

=================  ===================================================================
module             contents
=================  ===================================================================
`cluster`          the cluster on the ranks: start, wait, close
`cluster_options`  its options, and each rank's share of its host
`host_process`     a rank's handle of the process that runs Dask on its host
`host_service`     that process: scheduler, nannies, and workers, forks of its child
`log_levels`       the default log levels of Dask
`preload`          imported by that child before it is forked
`scheduler`        the scheduler and its statistics
`worker`           a plugin that configures each worker
`rank_cluster`     ``client.cluster``: scale and adapt
`scaling`          the same on the scheduler: retires and starts workers of ranks
`rank_nanny`       the nanny of a rank's worker, which can start it again
`settings`         Dask's settings and workers' resources on the command line
`security`         the TLS credentials of a run
`network`          the address of the root's host that other hosts can connect to
`local_directory`  the directory that workers spill to
`script`           runs the user's script
`forward`          forwards the script's settings to workers
`dask_mpi_shim`    replaces dask-mpi in scripts that import it
`interrupter`      interrupts the script from another thread
`dask_pool`        `mpiapps.tasks.pool` on workers
`arrays`           arrays from .npy files, read chunk by chunk on workers
`frames`           data frames of many small files
`scheduler_file`   access for other programs of the user
`dask_mpi`         the same program by dask-mpi, for comparison
=================  ===================================================================
"""
