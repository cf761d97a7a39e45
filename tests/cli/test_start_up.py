from __future__ import annotations

import subprocess
import sys

import pytest

LOADED = "import sys; from segbench.cli import main; main(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["compare", "--help"]])
def test_help_and_list_load_no_heavy_library(arguments):
    done = subprocess.run([sys.executable, "-c", LOADED, *arguments], capture_output=True, text=True, check=True)
    modules = set(done.stderr.split())
    assert "segbench.cli.app" in modules
    heavy = {"torch", "torchvision", "numpy", "pandas", "pyarrow", "scipy", "PIL", "timm", "rich"}
    assert modules & heavy == set()
