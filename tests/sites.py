"""The application in the process of a test, and a few races in it."""

import asyncio
from dataclasses import dataclass
from math import log

import httpx

from db import artifacts, queue, races, samples, workers
from db.races import RaceSpec
from db.samples import Batch, SampleIn
from db.tokens import create
from server.app import create_app
from server.runtime import utc_now
from tools import judge
from training.recipe import recipe_from

EVIL = '"><img src=x onerror=alert(1)>{{7777*7777}}</script>'
HTML = {"Accept": "text/html,application/xhtml+xml"}


@dataclass(kw_only=True)
class Site:
    """The real application without a network, and one call for each thing that happens in it."""

    runtime: object
    client: tuple = ("192.0.2.7", 5000)

    def __post_init__(self):
        self.app = create_app(self.runtime)

    def ask(self, path, method="GET", cookies=None, headers=None, form=None, raises=True):
        transport = httpx.ASGITransport(self.app, client=self.client, raise_app_exceptions=raises)

        async def one():
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost", cookies=cookies) as http:
                return await http.request(method, path, headers={**HTML, **(headers or {})}, data=form)

        return asyncio.run(one())

    def do(self, function, *args, **kwargs):
        with self.runtime.store.transaction() as session:
            return function(session, *args, **kwargs)

    def token(self, name="ann", *scopes, expires_at=None):
        return self.do(create, name, scopes or ("read",), utc_now(), expires_at)[0]

    def sign_in(self, token, next="/"):
        return self.ask("/sign-in", "POST", form={"token": token, "next": next})

    def race(self, name="cup", seeds=(1, 2), **settings):
        usual = {"corpus": "c" * 64, "corpus_name": "books", "budget_bytes": 900_000, "seeds": seeds}
        return self.do(races.create, RaceSpec(name=name, **{**usual, **settings}), utc_now())

    def submit(self, race, fields=None, name=None):
        recipe = recipe_from(fields or {})
        text = queue.RecipeText(digest=recipe.digest, name=name or f"recipe {fields}", canonical=recipe.canonical)
        return self.do(queue.submit, race, text, recipe.steps(race.bytes_at(0)), created_by="me", now=utc_now())

    def claim(self, race, n=1, worker="w"):
        self.do(workers.seen, worker, "agent", utc_now())
        return self.do(queue.claim, worker=worker, now=utc_now(), lease_seconds=60, judge=judge, race_id=race.id, n=n)

    def write(self, ticket, *values, **settings):
        self.do(artifacts.record, "k" * 64, "checkpoint", 1, utc_now())
        for step, bpb in values:
            nll_sum = bpb * log(2) * 1000
            batch = Batch(
                job_id=ticket.job_id, fence=ticket.fence, effective_digest=ticket.recipe_digest, checkpoint="k" * 64,
                environment="e" * 64, receipt=None, lease_seconds=60,
                samples=(SampleIn(step=step, bpb=bpb, nll_sum=nll_sum, byte_count=1000),),
                **{"provenance": "measured", **settings},
            )  # fmt: skip
            self.do(samples.write, batch, judge, utc_now())

    def finish(self, race, bpbs):
        """Run the queued jobs of a race to their ends: a sample in the middle and one at the end."""
        for bpb in bpbs:
            ticket = self.claim(race)[0]
            self.write(ticket, (ticket.total_steps // 2, bpb + 0.5), (ticket.total_steps, bpb))
        return ticket
