"""The probes: a decorated function each; `mpiapps.diagnostics.probe` has the rest."""
