"""The task farm without MPI: task lists, state, and the child processes of tasks.

The standard library alone, and no communicator: `mpiapps.farm` distributes the tasks
over ranks, and the login node reads the run directory.

================  ====================================================================
module            contents
================  ====================================================================
`task_list`       tasks of a list of commands; identities; parts
`parameter_grid`  tasks of a command with parameters
`placeholders`    shell quoting of parameter values
`state`           the manager's state: pending, running, done, failed, retries
`slot_scheduler`  free cores of the hosts, and the queue of tasks
`local_executor`  the running tasks of one host
`supervisor`      a helper process that runs commands for a rank
`helper`          that process: starts, reaps and kills commands and their orphans
`task_process`    one running command and its limits
`output_files`    outputs of tasks: fsync and digests
`status`          progress of a farm; verification of logs and outputs
`strategy`        one job, a job array, or an array of farms
================  ====================================================================
"""
