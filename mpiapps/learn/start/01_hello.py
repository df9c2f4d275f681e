"""Each rank prints one line with its rank and the number of ranks, such as

    Hello from rank 2 of 4

mpiexec starts this file once per rank. All copies do the same, up to the point where
they ask the communicator who they are.
"""

from mpi4py import MPI

comm = MPI.COMM_WORLD
print("Hello")  # TODO: from which rank, of how many?
