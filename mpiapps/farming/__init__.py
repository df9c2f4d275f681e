"""Tasks that are recorded: their lists, their journal, and the children that do them.

The standard library alone, and no communicator: `mpiapps.farm` shares the tasks over
ranks, and the login node reads what they left.

==============  ======================================================================
module          what is in it
==============  ======================================================================
`tasklist`      the tasks: a list of command lines, or a command with parameters
`child`         one command at work, within its limits
`nursery`       a helper that does commands for a rank, and ends them with it
`here`          the tasks at work on one host
`books`         what the manager knows: what is to be done, and what was
`places`        processors of hosts, and the tasks that wait for them
`plan`          one job, or an array
`journal`       what was done, a line each, and what a kill or a bad disk leaves of it
`status`        how a farm is, and whether its files are as the journal says
`owner`         one manager for one run directory
==============  ======================================================================
"""
