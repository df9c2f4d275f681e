"""``python -m mpiapps`` is the `mpiapps` command."""

import sys

from mpiapps.cli import main

sys.exit(main())
