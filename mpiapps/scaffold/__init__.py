"""`mpiapps new`: a package with one program, its tests, its job script and CI."""
