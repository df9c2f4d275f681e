"""Standard library only: errors, units, deadline, launch environment, processes."""
