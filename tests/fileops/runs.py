"""Runs of the program on files, in this process."""

from mpiapps import files
from mpiapps.app.context import RunContext
from mpiapps.files import Options


def run_files(world, operation, *paths, **options):
    """Run the program; return its result. `column` and `by` may be one name."""
    for name in {"column", "by"} & options.keys():
        if isinstance(options[name], str):
            options[name] = (options[name],)
    options = Options(operation, tuple(map(str, paths)), **options)
    result = files.run(RunContext.make(world), options)
    world.comm.Barrier()
    return result
