"""`python -m pannier`: the command line tool, where scripts are not on PATH."""

import sys

from ._tool import main

sys.exit(main())
