"""The conformance fixtures work where npm is out of reach: a few of them over the official client."""

import subprocess

import anyio
from mcp import Client
from mcp_types import ElicitResult

from server.runtime import open_runtime
from server.settings import Settings
from tests.conformance.served import fixtures
from tests.conformance.tasks import TASKS
from tests.conformance.tools import TOOLS
from tests.serving import ROOT
from tools import tools


def test_the_fixtures_stand_beside_iglas_tools_on_iglas_factory(tmp_path):
    runtime = open_runtime(Settings(data=tmp_path))

    async def named(context, params):
        return ElicitResult(action="accept", content={"name": "Ann"})

    async def story():
        told = []

        async def progress(done, total, message):
            told.append(done)

        async with Client(fixtures(runtime), mode="2026-07-28", elicitation_callback=named) as client:
            listed = [tool.name for tool in (await client.list_tools()).tools]
            asked = await client.call_tool("test_input_required_result_elicitation", {})
            await client.call_tool("test_tool_with_progress", {}, progress_callback=progress)
            plain = await client.call_tool("slow_compute", {"seconds": 0, "label": "x"})
            return listed, asked.content[0].text, told, plain.content[0].text

    listed, asked, told, plain = anyio.run(story)
    runtime.store.close()
    assert listed == sorted([*(name for name in tools if name != "deploy"), *TOOLS, *TASKS])  # no account, no deploys
    assert "Ann" in asked
    assert told == [0, 50, 100]
    assert plain == "computed x"


def test_without_npm_the_run_says_so_in_one_line_and_succeeds(tmp_path):
    script = ROOT / "tests" / "conformance" / "run.sh"
    nowhere = {"PATH": str(tmp_path), "HOME": str(tmp_path)}
    for name in ("dirname", "env"):
        (tmp_path / name).symlink_to(f"/usr/bin/{name}")
    done = subprocess.run(["/bin/bash", script], env=nowhere, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "conformance: skipped, npm is not here\n", "")
