"""`python -m profiler VERB ...`"""

import sys

from profiler.commands.main import main

sys.exit(main())
