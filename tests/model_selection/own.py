"""A user's own scorers, splitters and estimators."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import ShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def share_of_first(model, x, y):
    """Return how often the first class is predicted."""
    del y
    return float(np.mean(model.predict(x) == model.classes_[0]))


def shallow(model, x, y):
    """Return a score that prefers shallow trees."""
    del x, y
    return -float(model.get_depth())


def half(model, x, y):
    """Return a score that is not finite if the first sample is not of class 0."""
    return float(model.score(x, y)) if y[0] == 0 else float("nan")


def shuffled():
    return ShuffleSplit(3, test_size=0.2)


def pairs():
    return [(np.arange(0, 150, 2), np.arange(1, 150, 2)), (range(1, 150, 2), [0, 4])]


def outside():
    return [([0, 1], [150])]


def empty():
    return [([0, 1], [])]


def scaled():
    return make_pipeline(StandardScaler(), LogisticRegression())
