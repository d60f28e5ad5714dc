import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from tests.training.arena import driving
from training.arena.sandbox import why_not


@pytest.fixture(scope="session")
def plain():
    """Boxes and trials of a plain user, where we are root and a system Python is there."""
    if os.geteuid() != 0:
        pytest.skip("this is a plain user already")
    if not os.access(driving.PLAIN_PYTHON, os.X_OK):
        pytest.skip(f"{driving.PLAIN_PYTHON} is missing, and a plain user may not see the interpreter of these tests")
    see = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "test", "-r", driving.__file__]
    if subprocess.run(see, check=False).returncode:
        pytest.skip("a plain user may not see this checkout")
    process = driving.Plain()
    yield process
    process.close()


@pytest.fixture(params=["ours", "plain"])
def arena(request):
    """`box` and `trial` with our user and interpreter, and as a plain user."""
    if request.param == "ours":
        if reason := why_not():
            pytest.skip(f"no sandbox here: {reason}")
        python, box, trial = sys.executable, driving.box, driving.trial
    else:
        serve, python = request.getfixturevalue("plain"), driving.PLAIN_PYTHON

        def box(*arguments, **named):
            return serve("box", *arguments, **named)

        def trial(*arguments, **named):
            return serve("trial", *arguments, **named)

    return SimpleNamespace(
        plain=request.param == "plain",
        python=python,
        box=lambda code, **named: box(code, python=python, **named),
        trial=lambda entry, **named: trial(entry, python=python, **named),
    )
