"""Repeated fits of a scikit-learn estimator: candidates, folds, backends, report.

=================  =====================================================================
module             contents
=================  =====================================================================
`data`             samples and targets, from files and from data sets of scikit-learn
`tables`           columns of arrays and of sparse matrices
`options`          options of the program
`frames`           samples as a data frame, with text
`columns`          steps for some columns, before the estimator
`labels`           targets, groups and weights
`search_space`     candidates: fixed parameters and sampled ones
`folds`            splits; their names: `splitters`
`scoring`          scorers by name
`problem`          samples, folds and candidates; one fit
`fit_environment`  threads, generators and warnings of concurrent fits
`fits`             fits as tasks of the engine
`backends`         executors of fits: ranks, Dask, the backends of joblib
`rounds`           searches that choose candidates by the scores of earlier ones
`optuna_search`    a study of Optuna, as such a search
`halving`          successive halving, as such a search
`nested`           nested cross-validation, with any of these searches
`curves`           learning and validation curves, and their picture
`report`           the results of all fits
`results`          the results of candidates, as ``cv_results_``
`outputs`          the files that a search writes
`saved_model`      the model of the best candidate, with its versions
=================  =====================================================================
"""
