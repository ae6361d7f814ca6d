"""``python -m faultsim``."""

import sys

from faultsim.cli import main

sys.exit(main())
