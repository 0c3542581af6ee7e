"""`python -m chuk`."""

import sys

from chuk.cli import main

sys.exit(main())
