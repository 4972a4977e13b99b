"""`python -m profiler VERB ...`"""

import sys

from epoch_gap.profiler.commands.main import main

sys.exit(main())
