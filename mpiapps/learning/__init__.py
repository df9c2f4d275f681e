"""Estimators of scikit-learn fitted many times: which fits there are, and where.

============  ========================================================================
module        what is in it
============  ========================================================================
`data`        samples and targets, from files and from data sets that ship
`space`       candidates: fixed parameters, and those to draw
`case`        what all fits have in common; one fit
`ledger`      what was fitted, in a journal for each rank
`backends`    who does the fits: ranks, Dask, the backends of joblib
`report`      what all fits together say
`on_worker`   fits on a worker of Dask
`child`       fits in a process of joblib, which ends with its rank
============  ========================================================================
"""
