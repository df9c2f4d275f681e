"""The farm with its journal or, to see its cost, without: farm_peer.py on|off ..."""

import sys
from typing import Any

from mpiapps.app import main
from mpiapps.farm import PROGRAM
from mpiapps.farming import journal


def nothing(*_: Any) -> None:
    """Write nothing."""


if __name__ == "__main__":
    if sys.argv.pop(1) == "off":
        journal.Journal.add = journal.Journal.sync = nothing  # type: ignore[method-assign,assignment]
    sys.exit(main(PROGRAM))
