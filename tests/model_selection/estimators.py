"""Test estimators for stopped runs and failing fits."""

import os
import signal
import time
from pathlib import Path

from sklearn.tree import DecisionTreeClassifier

FIT_SECONDS = 0.05  # minimum of each fit, on any machine
FIRST_SAMPLE = [5.1, 3.5, 1.4, 0.2]  # of iris; in all fits except that of fold 0


class Slow(DecisionTreeClassifier):
    """A tree whose fit takes a while."""

    def fit(self, x, y):
        time.sleep(FIT_SECONDS)
        return super().fit(x, y)


class Killed(DecisionTreeClassifier):
    """A tree whose fit kills the process in one fold, like the OOM killer."""

    def fit(self, x, y):
        if x[0].tolist() != FIRST_SAMPLE:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().fit(x, y)


class Niceness(DecisionTreeClassifier):
    """A tree whose score is the nice value of its process."""

    def score(self, x, y):
        del x, y
        return float(os.nice(0))


class Unpicklable(DecisionTreeClassifier):
    """A tree that cannot be pickled once it is fitted."""

    def fit(self, x, y):
        self.lambda_ = lambda: None
        return super().fit(x, y)


class Mapped(DecisionTreeClassifier):
    """A tree whose score is 1 if its process has mapped memory of the host."""

    def score(self, x, y):
        del x, y
        return float("/memfd:mpiapps" in Path("/proc/self/maps").read_text())
