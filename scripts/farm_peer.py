"""Run the farm with or without its journal: farm_peer.py on|off ..."""

import sys
from typing import Any

from mpiapps.app import main
from mpiapps.farm import PROGRAM
from mpiapps.storage import journal


def no_op(*_: Any) -> None:
    """Do nothing."""


if __name__ == "__main__":
    if sys.argv.pop(1) == "off":
        for method in ("add", "sync"):
            setattr(journal.Journal, method, no_op)
    sys.exit(main(PROGRAM))
