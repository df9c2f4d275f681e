"""Starting MPI and leaving it: launch guard, mpiexec, coordinated exit, signals."""
