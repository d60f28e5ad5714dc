"""igla at Railway: PostgreSQL, and one service with a volume.

`railway config plan` shows it, `railway config apply` does it. The admin token is Railway's to keep: applies leave it.
For the first one set IGLA_FIRST_APPLY=1, and Railway makes it.
"""

import os
from typing import Any

TOKEN = {"type": "raw", "value": {"generator": "secret(32)"}}
KEEP = {"type": "preserve"}


def main() -> dict[str, Any]:
    """The project as a plain dict."""
    database = {"type": "database", "engine": "postgres", "name": "Postgres"}
    service = {
        "type": "service",
        "name": "igla",
        "build": {"builder": "DOCKERFILE", "dockerfilePath": "Dockerfile"},
        "deploy": {
            "healthcheckPath": "/healthz",
            "healthcheckTimeout": 300,
            "restartPolicyType": "ALWAYS",
            "drainingSeconds": 60,
        },
        "variables": {
            "DATABASE_URL": {"type": "reference", "resource": "database.Postgres", "output": "DATABASE_URL"},
            "IGLA_ADMIN_TOKEN": TOKEN if os.environ.get("IGLA_FIRST_APPLY") == "1" else KEEP,
            "IGLA_ENGINES": {"type": "literal", "value": "1"},
            "RAILWAY_DEPLOYMENT_DRAINING_SECONDS": {"type": "literal", "value": "60"},
            "RAILWAY_RUN_UID": {"type": "literal", "value": "0"},
        },
        "volumeAttachments": {"data": {"volume": "volume.data", "mountPath": "/data"}},
    }
    return {"name": "igla", "resources": [database, service]}
