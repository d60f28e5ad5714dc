"""A real S3 server (moto) on this machine, for tests."""

import os
import re
import subprocess
import sys
from contextlib import contextmanager
from unittest import mock


@contextmanager
def bucket_server():
    """Address of an empty bucket, and the environment by which S3 clients find it."""
    command = [sys.executable, "-m", "moto.server", "--port", "0", "--host", "127.0.0.1"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    try:
        found = next(
            match for line in iter(process.stderr.readline, "") if (match := re.search(r"http://\S+:\d+", line))
        )
        environment = {
            "AWS_ENDPOINT_URL": found[0],
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        with mock.patch.dict(os.environ, environment):
            import s3fs

            s3fs.S3FileSystem(skip_instance_cache=True).mkdir("igla")
        yield "s3://igla", environment
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
