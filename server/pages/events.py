"""`/events/...`: server-sent events that carry the changed parts of a page as HTML."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from db import overview, queue, races, samples
from db.tokens import Principal
from server.pages import activity
from server.pages import queue as queue_page
from server.pages import race as race_page
from server.pages import run as run_page
from server.pages.door import SPECTATOR
from server.pages.live import MOST_SPECTATORS, MOST_STREAMS, Hub, Source
from server.runtime import Runtime

Seen = Annotated[str, Query(max_length=16)]


def race_source(runtime: Runtime, first: race_page.FirstPages, name: str) -> Source:
    """Version and parts of a race's page. An unknown race is refused."""
    with runtime.store.reading() as session:
        race = races.find(session, name)

    def version() -> Any:
        with runtime.store.reading() as session:
            return overview.version(session, race.id)

    return Source(topic=f"race/{name}", version=version, parts=lambda: first.of(name)["parts"])


def run_source(runtime: Runtime, job_id: str) -> Source:
    """Version and parts of a run's page. An unknown run is refused."""
    with runtime.store.reading() as session:
        queue.job(session, job_id)

    def version() -> Any:
        with runtime.store.reading() as session:
            return queue.job(session, job_id), samples.decisions(session, job_id=job_id, limit=1)

    def parts() -> dict[str, str]:
        with runtime.store.reading() as session:
            facts = run_page.gather(session, job_id)
        return run_page.parts(run_page.values_of(runtime, facts))

    return Source(topic=f"job/{job_id}", version=version, parts=parts)


def queue_source(runtime: Runtime) -> Source:
    """Version and parts of the queue's page: it shows how long ago things were, so it changes all the time."""

    def values() -> dict[str, Any]:
        with runtime.store.reading() as session:
            return queue_page.gather(session)

    return Source(topic="races", version=lambda: object(), parts=lambda: queue_page.parts(values()))


def add_events(app: FastAPI, runtime: Runtime, first: race_page.FirstPages, hub: Hub) -> None:
    """Add the streams. What may be refused is refused before a stream begins."""

    def admitted(request: Request) -> str:
        principal: Principal = request.scope["igla.principal"]
        hub.admit(principal.name, MOST_SPECTATORS if principal == SPECTATOR else MOST_STREAMS)
        return principal.name

    def of_race(name: str) -> Source:
        return race_source(runtime, first, name)

    def of_run(job_id: str) -> Source:
        return run_source(runtime, job_id)

    def of_queue() -> Source:
        return queue_source(runtime)

    def of_activity(request: Request) -> Source:
        activity.allow(request)
        return activity.source(runtime)

    streams = {"races/{name}": of_race, "runs/{job_id}": of_run, "queue": of_queue, "activity": of_activity}
    for path, found in streams.items():
        add_stream(app, hub, f"/events/{path}", found, admitted)


def add_stream(app: FastAPI, hub: Hub, path: str, found: Any, admitted: Any) -> None:
    """One stream."""

    async def stream(
        request: Request,
        source: Annotated[Source, Depends(found)],
        principal: Annotated[str, Depends(admitted)],
        seen: Seen = "",
    ) -> AsyncIterator[ServerSentEvent]:
        shown = request.headers.get("last-event-id") or seen
        async for mark, parts in hub.follow(principal, source, shown):
            *first, last = parts.items()
            for name, text in first:
                yield ServerSentEvent(event=name, raw_data=text)
            yield ServerSentEvent(event=last[0], raw_data=last[1], id=mark)  # only who has got all knows the mark

    app.add_api_route(path, stream, methods=["GET"], response_class=EventSourceResponse, include_in_schema=False)
