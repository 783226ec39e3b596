"""Decoding weights must not need torch."""

from __future__ import annotations

import subprocess
import sys


def test_reading_weights_loads_no_torch() -> None:
    code = "import sys, astroprep.compress.weights; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
