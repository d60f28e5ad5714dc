"""Auditing: whose mutation a store commits. A call or a command gets a view of the store that writes its row once."""

from collections.abc import Mapping
from dataclasses import replace

from db import audit
from db.calls import Call
from db.store import Store
from server.runtime import Runtime, utc_now
from tools import Context


def audited(context: Context, call: Call) -> Context:
    """The context of a call whose first committed transaction leaves a row."""
    return context if call.read_only else replace(context, store=noting(context.store, call))


def by_command(runtime: Runtime, action: str, subject: Mapping[str, str] | None = None) -> Store:
    """The store for a command of the operator on this machine. subject: may be filled until the commit."""
    return noting(runtime.store, call_of(runtime.context(), action, subject=subject))


def call_of(context: Context, tool: str, *, read_only: bool = False, subject: Mapping[str, str] | None = None) -> Call:
    """The call that a context is for."""
    return Call(
        tool=tool,
        read_only=read_only,
        principal=context.principal,
        credential=context.credential,
        doorway=context.doorway,
        request_id=context.request_id,
        subject={} if subject is None else subject,  # not copied: see `by_command`
    )


def noting(store: Store, call: Call) -> Store:
    """The store, whose first committed transaction leaves this row."""
    return store.noting(
        lambda session: audit.add(
            session,
            audit.Entry(
                at=utc_now(),
                principal=call.principal,
                credential=call.credential,
                doorway=call.doorway,
                action=call.tool,
                request_id=call.request_id,
                subject=call.subject,
            ),
        )
    )
