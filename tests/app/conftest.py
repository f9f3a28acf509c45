"""Makes what the tests of this room share importable by plain name, here and in the processes they start."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
