"""Ten thousand random MCP requests to a whole server in this process: no 5xx, no defect, no secret in an answer or log.

The requests and what must hold of each answer are those of the tests, which send a few hundred; here others are drawn
at each run. `--quick` sends 1,000; `--postgresql` does so over a PostgreSQL server that it starts.
"""

import logging
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter

sys.path.insert(0, str(Path(__file__).parents[1]))

from hypothesis import HealthCheck, Phase, given, settings

from benchmarks import tell
from tests.fuzzing import check, fuzzed, requests
from tests.postgres import database, postgres

QUICK, WHOLE = 1_000, 10_000
PHASES = [Phase.generate, Phase.shrink]


class Kept(logging.Handler):
    """What was logged."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.said: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        self.said.append(record)


def main() -> int:
    """Send them; 1 where a request found something."""
    count = QUICK if "--quick" in sys.argv else WHOLE
    seen: Counter[str] = Counter()
    kept = Kept()
    logging.getLogger().addHandler(kept)
    logging.getLogger().setLevel(logging.INFO)
    began = perf_counter()
    with ExitStack() as open_:
        folder = open_.enter_context(tempfile.TemporaryDirectory())
        url = open_.enter_context(database(open_.enter_context(postgres()))) if "--postgresql" in sys.argv else ""
        client, held, job, secret = open_.enter_context(fuzzed(Path(folder), url))

        @settings(
            max_examples=count, database=None, deadline=None, phases=PHASES, suppress_health_check=list(HealthCheck)
        )
        @given(requests(job))
        def each(request: tuple[str, dict[str, str], bytes]) -> None:
            status, code = check(client, held, secret, request)
            seen[f"{status} {code or ''}".strip()] += 1

        each()
        leaked = [one for one in kept.said if any(word in one.getMessage() for word in secret[:-2])]
        errors = [one for one in kept.said if one.levelno >= logging.ERROR]
    seconds = perf_counter() - began
    found = len(leaked) + len(errors)
    tell("fuzz.mcp_findings", found, "", 0, found == 0, requests=seen.total(), answers=dict(seen.most_common()))
    tell("fuzz.mcp_requests_per_s", seen.total() / seconds, "1/s")
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())
