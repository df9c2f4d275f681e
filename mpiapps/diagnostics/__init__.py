"""`mpiapps doctor`: probes of this host and of the ranks of a job; bug reports."""
