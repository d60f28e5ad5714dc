"""The web process does without torch."""

import subprocess
import sys

from tests.serving import ROOT


def test_the_web_process_never_imports_torch():
    code = (
        "import sys; from pathlib import Path; import tempfile; from server.runtime import open_runtime; "
        "from server.settings import Settings; from server.app import create_app; import server.serve, server.cli; "
        "runtime = open_runtime(Settings(data=Path(tempfile.mkdtemp()))); create_app(runtime); "
        "runtime.corpus('stdlib'); assert 'torch' not in sys.modules, 'torch'"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
