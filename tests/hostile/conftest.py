"""What these tests share with those of the firmware lies in tests/both."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "both"))
