"""`igla mcp`: serve one client over standard streams, or tell an MCP host on this machine about a server."""

import os
import shutil
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from errors import InvalidValue
from server.address import address, is_local
from server.host_entries import Server
from server.host_files import installed, uninstalled
from server.host_install import Change, apply, change, place
from server.hosts import VARIABLE, Host, host_of
from server.settings import Settings

mcp = typer.Typer(help="Serve an MCP client on standard input and output, or put igla into the host's configuration.")

HostArgument = Annotated[str, typer.Argument(help="claude, cursor, codex or vscode.", metavar="HOST")]
ProjectOption = Annotated[bool, typer.Option("--project", help="In this folder's own file, which others share.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what would change and write nothing.")]
UrlOption = Annotated[str, typer.Option("--url", envvar="IGLA_SERVER", help="Address of the server.")]
TokenEnvOption = Annotated[
    str | None,
    typer.Option(
        help=f"Variable that holds the token; default: {VARIABLE} for a server elsewhere, none for this machine."
    ),
]
TokenOption = Annotated[
    str | None, typer.Option("--token", help="Write the token itself into the file; - reads it from standard input.")
]
StdioOption = Annotated[bool, typer.Option("--stdio", help="The host starts `igla mcp` itself; no server runs.")]
DataOption = Annotated[Path | None, typer.Option("--data", help="Folder of database, artifacts and keys [IGLA_DATA].")]
LOCAL = "http://127.0.0.1:8000"


@mcp.callback(invoke_without_command=True)
def serve(ctx: typer.Context, data: DataOption = None) -> None:
    """Serve one MCP client on standard input and output, with engine processes beside it."""
    if ctx.invoked_subcommand is None:
        from server.serve import serve_stdio_client

        serve_stdio_client(settings_of(data))


@mcp.command()
def install(
    host: HostArgument,
    url: UrlOption = LOCAL,
    token_env: TokenEnvOption = None,
    token: TokenOption = None,
    stdio: StdioOption = False,
    data: DataOption = None,
    project: ProjectOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Put a server into an MCP host's file: merged, what was there before kept aside. Twice is once."""
    chosen = host_of(host)
    if project and token:
        raise InvalidValue("A project's file is shared: name a variable with --token-env in place of --token.")
    server = reached(url, token_env, token, data, stdio=stdio)
    made = changed(chosen, project, lambda text: installed(text, chosen, server))
    finish(chosen, made, server.secret, dry_run=dry_run)
    if server.variable and not server.secret and not chosen.asks and not dry_run:
        typer.echo(f"Before {chosen.title} starts: export {server.variable}=igla_...  (igla token create makes one)")


@mcp.command()
def uninstall(host: HostArgument, project: ProjectOption = False, dry_run: DryRunOption = False) -> None:
    """Take igla out of an MCP host's file; everything else stays."""
    chosen = host_of(host)
    finish(chosen, changed(chosen, project, lambda text: uninstalled(text, chosen)), "", dry_run=dry_run)


@mcp.command()
def show(host: HostArgument, url: UrlOption = LOCAL, token_env: TokenEnvOption = None, stdio: StdioOption = False,
         data: DataOption = None) -> None:  # fmt: skip
    """Print what a host's file has to say, and the host's own command for it."""
    chosen, server = host_of(host), reached(url, token_env, None, data, stdio=stdio)
    typer.echo(f"{chosen.text(server).rstrip()}\n")
    if chosen.command(server):
        typer.echo(chosen.command(server), err=True)


def reached(url: str, token_env: str | None, token: str | None, data: Path | None, *, stdio: bool) -> Server:
    """The server that the options speak of."""
    if token and token_env:
        raise InvalidValue("Give --token-env or --token, not both.")
    if stdio:
        if token or token_env:
            raise InvalidValue("With --stdio the host starts igla itself, and no token is needed.")
        return Server(command=(program(), "mcp", "--data", str(settings_of(data).data.resolve())))
    base = address(url, "--url")
    secret = sys.stdin.readline().strip() if token == "-" else token or ""
    variable = ("" if is_local(base) else VARIABLE) if token_env is None else token_env
    return Server(url=f"{base}/mcp", variable="" if secret else variable, secret=secret)


def settings_of(data: Path | None) -> Settings:
    """The environment's settings, in the data folder that the command line named."""
    given: dict[str, Any] = {} if data is None else {"data": data}
    return Settings(**given)


def program() -> str:
    """Where `igla` of this environment lies: a host has another PATH."""
    found = shutil.which("igla", path=str(Path(sys.executable).parent))
    if found is None:
        raise InvalidValue(f"There is no igla beside {sys.executable}: install it with pip install --editable .")
    return found


def changed(host: Host, project: bool, edit: Callable[[str], str]) -> Change:
    """What an edit makes of the host's file on this machine."""
    file = place(host, project=project, environ=os.environ, home=Path.home(), here=Path.cwd())
    return change(file, edit)


def finish(host: Host, made: Change, secret: str, *, dry_run: bool) -> None:
    """Write the change, or show it."""
    if made.is_none:
        typer.echo(f"{made.file} is as it should be; nothing to do.")
    elif dry_run:
        typer.echo(made.diff(secret))
    else:
        copy = apply(made, datetime.now(UTC))
        typer.echo(f"wrote {made.file}" + (f"; before: {copy.name}" if copy else ""))
        typer.echo(f"{host.title} reads it when it starts.")
