"""Commands about one model: `igla build` before training, `igla generate` after it."""

from pathlib import Path
from typing import Annotated, Any

import typer

from server.settings import Settings

PANEL = "One model"

BUILD = """
Check a recipe in a file, and say what it comes to: complete form, digest, weights, bytes, speed on this machine.

The file is a JSON object, or TOML where its name ends in .toml. What is left out takes its default; options of a
plug-in stand as "muon.lr" or in a table of their own. `igla race --help` lists all fields.

[bold]Examples[/bold]

igla build recipe.json

igla build recipe.toml --seconds 0 --json

igla build recipe.toml --budget 4MB --seed 1597 --out fresh.safetensors
"""

GENERATE = """
Let a checkpoint go on with a text, byte by byte; what is written is exactly what was drawn.

The checkpoint is a file, or the digest of an artifact in the data folder; `igla job_status` shows that of each sample.
The model's memory goes on learning from the prompt and from what it writes; its weights do not change.

[bold]Examples[/bold]

igla generate fresh.safetensors --prompt "def "

igla generate 3f5a... --data igla-data --bytes 500 --temperature 0.7 --top-k 40 --seed 7

igla generate fresh.safetensors --prompt-file - --json < notes.txt
"""

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def add_model_commands(app: typer.Typer) -> None:
    """Add both commands."""
    app.command(help=paragraphs(BUILD), rich_help_panel=PANEL)(build)
    app.command(help=paragraphs(GENERATE), rich_help_panel=PANEL)(generate)


def paragraphs(text: str) -> str:
    """The text with line breaks between paragraphs only."""
    return "\n\n".join(" ".join(each.split()) for each in text.strip().split("\n\n"))


def build(
    config: Annotated[Path, typer.Argument(help="File with a recipe.")],
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Seed of the weights.")] = 0,
    budget: Annotated[str, typer.Option(help="Text that the run trains on; decides the number of steps.")] = "4MB",
    seconds: Annotated[
        float, typer.Option(min=0.0, max=600.0, help="Time that steps are measured for; 0: not at all.")
    ] = 2.0,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the checkpoint of step 0 here.")] = None,
    as_json: JsonOption = False,
) -> None:
    """See BUILD."""
    from server.build_command import build_command

    build_command(config, seed=seed, budget=budget, seconds=seconds, out=out, as_json=as_json)


def generate(
    checkpoint: Annotated[str, typer.Argument(help="File or digest.")],
    prompt: Annotated[str, typer.Option(help="Text to go on with.")] = "",
    prompt_file: Annotated[str | None, typer.Option(help="The same from a file; - for standard input.")] = None,
    count: Annotated[int, typer.Option("--bytes", "-n", min=0, help="Bytes to draw.")] = 256,
    temperature: Annotated[float, typer.Option(help="Below 1 surer, above 1 wilder; 0: the likeliest byte.")] = 1.0,
    top_k: Annotated[int | None, typer.Option(help="Draw among so many likeliest bytes; default: all.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Equal seeds draw equal bytes.")] = 0,
    still: Annotated[bool, typer.Option("--still", help="Serve a recipe with test-time training without it.")] = False,
    as_json: JsonOption = False,
    data: Annotated[Path | None, typer.Option("--data", help="Folder of artifacts [IGLA_DATA].")] = None,
) -> None:
    """See GENERATE."""
    from server.generate_command import generate_command, prompt_bytes
    from training.generate import Drawing

    given: dict[str, Any] = {} if data is None else {"data": data}
    drawing = Drawing(temperature=temperature, top_k=top_k)
    text = prompt_bytes(prompt, prompt_file)
    generate_command(Settings(**given), checkpoint, text, count, drawing, seed, still=still, as_json=as_json)
