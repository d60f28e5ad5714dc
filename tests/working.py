"""`igla work` as real processes, and looks at what became of their jobs."""

import os
import signal
import time
from subprocess import PIPE

from sqlalchemy import text

from tests.forked import ROOT, Forked

SECRET_NAMES = ("IGLA_DATA", "IGLA_DATABASE_URL", "DATABASE_URL", "IGLA_ADMIN_TOKEN")


def started(url, secret, home, *options):
    """`igla work` as on another machine: nothing of the server's in its folder, home or environment."""
    home.mkdir(exist_ok=True)
    scrubbed = {name: value for name, value in os.environ.items() if name not in SECRET_NAMES}
    environment = {**scrubbed, "PYTHONPATH": str(ROOT), "HOME": str(home), "IGLA_TOKEN": secret, "IGLA_SERVER": url,
                   "IGLA_GRACE_SECONDS": "0"}  # fmt: skip
    environment.pop("XDG_CACHE_HOME", None)
    return Forked(["work", *options], cwd=home, env=environment, stderr=PIPE, text=True)


def until(look, seconds=90):
    """What `look` gives as soon as it gives something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.02)
    raise AssertionError("nothing came of it")


def jobs(runtime, race):
    with runtime.store.reading() as session:
        rows = session.connection().execute(
            text("SELECT job.id, seed, state, last_step, worker, attempt, job.provenance FROM job JOIN race "
                 "ON race.id = job.race_id WHERE race.name = :race ORDER BY seed"), {"race": race},
        )  # fmt: skip
        return rows.all()


def ended(worker, how=signal.SIGTERM):
    worker.send_signal(how)
    said = worker.communicate(timeout=60)[1]
    return worker.returncode, said
