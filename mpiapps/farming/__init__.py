"""Tasks that are recorded: their lists, their journal, and the children that do them.

The standard library alone, and no communicator: `mpiapps.farm` shares the tasks over
ranks, and the login node reads what they left.

==============  ======================================================================
module          what is in it
==============  ======================================================================
`tasklist`      the tasks of a list of command lines, and which part is whose
`grid`          the tasks of a command with parameters
`quoting`       values of parameters in commands: data, in whichever quotes
`child`         one command at work, within its limits
`nursery`       a helper that does commands for a rank, and ends them with it
`helper`        that process: begins, waits, ends; finds what commands left
`here`          the tasks at work on one host
`books`         what the manager knows: what is to be done, and what was
`places`        processors of hosts, and the tasks that wait for them
`plan`          one job, or an array
`journal`       what was done, a line each, and what a kill or a bad disk leaves of it
`rank_journal`  the same of ranks that record for themselves, run after run
`status`        how a farm is, and whether its files are as the journal says
`owner`         one manager for one run directory
==============  ======================================================================
"""
