import hashlib
import re
from pathlib import Path

import pytest

from server.railway.operations import MUTATIONS, QUERIES
from tests.contracts.trim import read, root_fields, trimmed

FOLDER = Path(__file__).parent
LISTED = dict(re.findall(r"^\| (\S+/\S+) \| ([0-9a-f]{64}) \|", (FOLDER / "README.md").read_text(), re.M))


def test_every_contract_is_listed_with_its_source():
    files = {path.relative_to(FOLDER).as_posix() for path in FOLDER.glob("*/*") if "__pycache__" not in path.parts}
    assert files == LISTED.keys()


@pytest.mark.parametrize("name", LISTED)
def test_a_contract_has_the_digest_that_is_written_beside_its_source(name):
    assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == LISTED[name]


def test_trimming_is_deterministic_and_keeps_types_whole():
    file = FOLDER / "railway" / "schema.graphql"
    wanted = root_fields([*QUERIES.values(), *MUTATIONS.values()])
    assert trimmed(read(file), wanted) == file.read_text()
    fewer = trimmed(read(file), wanted - {"workflowStatus"})
    assert "type WorkflowResult " not in fewer
    whole = re.search(r"^type Deployment [^{]*\{.*?^\}", file.read_text(), re.M | re.S)
    assert whole
    assert whole[0] in fewer
