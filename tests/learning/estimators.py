"""Estimators that no library has: for runs that are stopped, and for bad fits."""

import os
import signal
import time

from sklearn.tree import DecisionTreeClassifier

FIT = 0.05  # s that each fit takes at least, on any machine
FIRST = [5.1, 3.5, 1.4, 0.2]  # sample of iris; all fits have it but that of fold 0


class Patient(DecisionTreeClassifier):
    """A tree that is not done at once."""

    def fit(self, x, y):
        time.sleep(FIT)
        return super().fit(x, y)


class Deadly(DecisionTreeClassifier):
    """A tree whose fit of iris ends the process in one fold, as lack of memory does."""

    def fit(self, x, y):
        if x[0].tolist() != FIRST:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().fit(x, y)


class Nice(DecisionTreeClassifier):
    """A tree whose score is the priority of the process that has it."""

    def score(self, x, y):
        del x, y
        return float(os.nice(0))
