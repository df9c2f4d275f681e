"""Repeated fits of a scikit-learn estimator: candidates, folds, backends, report.

==============  ======================================================================
module          contents
==============  ======================================================================
`data`          samples and targets, from files and from data sets of scikit-learn
`search_space`  candidates: fixed parameters and sampled ones
`problem`       samples, folds and candidates; one fit
`journal`       completed fits, in a journal per rank
`backends`      executors of fits: ranks, Dask, the backends of joblib
`memory_check`  the memory that Dask workers need for the samples
`report`        the results of all fits
`outputs`       the files that a search writes
`saved_model`   the model of the best candidate, with its versions
`dask_worker`   fits on a Dask worker
`fit_in_child`  fits in a joblib process, which exits with its rank
==============  ======================================================================
"""
