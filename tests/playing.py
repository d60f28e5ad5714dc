"""An agent that plays a race over HTTP, one chunk after the other."""

import httpx

from tests.serving import TINY

PLAN = {
    "base": TINY,
    "grid": {"muon.lr": [0.001, 0.01, 0.03]},
    "budget_bytes": 9 * 256 * 12,
    "seeds": [1, 2],
}
"""Three recipes that differ in how fast they learn; a run at the top rung takes about a second."""


class Player:
    """Plays as one worker. Every refusal but an empty queue is an error."""

    def __init__(self, url, race, worker="player", token=None):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.http = httpx.Client(base_url=url, headers=headers, timeout=120)
        self.race, self.worker = race, worker

    def use(self, tool, **arguments):
        answer = self.http.post(f"/api/{tool}", json=arguments)
        if answer.status_code == 404 and answer.json()["code"] == "queue_empty":
            return None
        assert answer.status_code == 200, answer.text
        return answer.json()

    def plan(self, plan=None):
        return self.use("plan_race", race=self.race, plan=plan or PLAN)

    def claim(self):
        claimed = self.use("claim_job", race=self.race, worker=self.worker)
        return claimed and claimed["tickets"][0]

    def chunk(self, ticket):
        return self.use("run_chunk", job_id=ticket["job_id"], fence=ticket["fence"])

    def run(self, ticket):
        while self.chunk(ticket)["decision"]["action"] == "continue":
            pass

    def play(self, most=None):
        """Run jobs until none is left, or `most` are done; gives how many were run."""
        count = 0
        while (most is None or count < most) and (ticket := self.claim()) is not None:
            self.run(ticket)
            count += 1
        return count
