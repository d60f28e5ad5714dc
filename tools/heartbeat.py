"""Keep a lease."""

from dataclasses import dataclass
from datetime import datetime

from db import queue
from tools import LEASE_SECONDS, Context, Fence, JobId

about = {"toolset": "race", "scope": "work", "read_only": False, "destructive": False, "idempotent": True}


@dataclass(frozen=True, kw_only=True)
class Renewed:
    """The lease after the heartbeat."""

    lease_expires_at: datetime


def heartbeat(context: Context, job_id: JobId, fence: Fence) -> Renewed:
    """Keep a claimed job while you are busy with it. run_chunk and write_bpb renew the lease by themselves."""
    with context.store.transaction() as session:
        ends = queue.heartbeat(session, job_id, fence, context.now, LEASE_SECONDS, context.owner)
    return Renewed(lease_expires_at=ends)
