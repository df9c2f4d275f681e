"""Run the farm with each rank as a host of its own: each_a_host.py TASKS ..."""

import sys

from mpiapps import farm
from mpiapps.app import main
from mpiapps.taskfarm.executor import Hosts


def hosts(self, world):
    self.cpus = set()
    self.agents = list(range(world.size))
    self.cores = [2] * world.size


if __name__ == "__main__":
    Hosts.__init__ = hosts
    sys.exit(main(farm.PROGRAM))
