import platform
import subprocess
import sys
from pathlib import Path

import pytest

STEPS = """
import resource
import sys
import numpy as np
from training.memory_pool import keep_freed_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def step():
    live = [np.ones(1 << 18) for _ in range(20)]

if sys.argv[1] == "kept":
    assert keep_freed_memory()
for _ in range(3):
    step()
before = faults()
for _ in range(10):
    step()
print(faults() - before)
"""


def faults(mode):
    """Page faults of ten steps that each make and drop 20 arrays of 2 MiB, in a process of their own."""
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", STEPS, mode], capture_output=True, text=True, check=True, cwd=root)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is a function of glibc")
def test_what_a_step_frees_is_there_for_the_next_one():
    assert faults("kept") < 0.1 * faults("default")
