"""An estimator that hangs or crashes, by its parameter."""

import os
import signal
import time

from sklearn.dummy import DummyClassifier


class Stuck(DummyClassifier):
    """A dummy, or one that hangs, or one that crashes."""

    def __init__(self, strategy="prior", act="", random_state=None):
        super().__init__(strategy=strategy, random_state=random_state)
        self.act = act

    def fit(self, x, y):
        if self.act == "hang":
            time.sleep(100)
        elif self.act == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        return super().fit(x, y)
