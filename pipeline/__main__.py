"""`python -m pipeline`: the same as the command `vocabmill`."""

import sys

from pipeline.cli import main

sys.exit(main())
