"""The names of ``--cv``. Imports no NumPy, as the login node lists them."""

from __future__ import annotations

DEFAULT_FOLDS = 5
# Names of --cv: class of scikit-learn, and the options that it takes.
SPLITTERS: dict[str, tuple[str, frozenset[str]]] = {
    "kfold": ("KFold", frozenset({"folds", "shuffle"})),
    "stratified": ("StratifiedKFold", frozenset({"folds", "shuffle"})),
    "group": ("GroupKFold", frozenset({"folds", "groups", "shuffle"})),
    "stratified-group": (
        "StratifiedGroupKFold",
        frozenset({"folds", "groups", "shuffle"}),
    ),
    "repeated": ("RepeatedKFold", frozenset({"folds", "repeats"})),
    "repeated-stratified": (
        "RepeatedStratifiedKFold",
        frozenset({"folds", "repeats"}),
    ),
    "time-series": ("TimeSeriesSplit", frozenset({"folds"})),
    "leave-one-group-out": ("LeaveOneGroupOut", frozenset({"groups"})),
}
# Each sample is in one test set, and in the training sets of all other splits.
PARTITIONS = {"kfold", "stratified", "group", "stratified-group"}
# The outer folds of a nested cross-validation, if not those of the inner ones.
OUTER = {
    "repeated": "kfold",
    "repeated-stratified": "stratified",
    "leave-one-group-out": "group",
}
