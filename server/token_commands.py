"""Commands about tokens: make, list, rotate and revoke. A secret is printed once, and nowhere else."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from server.log_commands import DataOption, cell, settings_of

token = typer.Typer(no_args_is_help=True, help="Make, list, rotate and revoke bearer tokens.")


@token.command("create")
def token_create(
    name: Annotated[str, typer.Argument(help="Whose token it is.")],
    scope: Annotated[list[str], typer.Option(help="read, submit, work, measure, referee, admin; repeat for more.")],
    days: Annotated[int | None, typer.Option(min=1, max=36_500, help="Days until it expires; default: never.")] = None,
    data: DataOption = None,
) -> None:
    """Make a token and print it once; only its hash is stored."""
    from db import tokens
    from server.auditing import by_command
    from server.runtime import open_runtime

    now = datetime.now(UTC)
    subject: dict[str, str] = {}
    with by_command(open_runtime(settings_of(data)), "token create", subject).transaction() as session:
        expires = now + timedelta(days=days) if days is not None else None
        secret, made = tokens.create(session, name, scope, now, expires)
        subject |= {"token": made.prefix}
    typer.echo(secret)


@token.command("list")
def token_list(data: DataOption = None) -> None:
    """List tokens by name and prefix, with when each was last used and when it ends."""
    from db import tokens
    from server.runtime import open_runtime

    with open_runtime(settings_of(data)).store.reading() as session:
        found = tokens.listing(session)
    table = Table("name", "prefix", "scopes", "created", "last used", "expires", "revoked")
    for one in found:
        moments = (one.created_at, one.last_used_at, one.expires_at, one.revoked_at)
        table.add_row(
            Text(cell(one.name)),
            one.prefix,
            " ".join(one.scopes),
            *(f"{at:%Y-%m-%d %H:%M}" if at else "" for at in moments),
        )
    Console().print(table)


@token.command("rotate")
def token_rotate(
    which: Annotated[str, typer.Argument(help="Name or prefix of the token.")],
    grace: Annotated[
        float, typer.Option(min=0.0, max=1e6, help="Hours for which the old one goes on counting.")
    ] = 24.0,
    data: DataOption = None,
) -> None:
    """Make a new secret of the same name, scopes and lifetime, and print it once; the old one ends after the grace."""
    from db import tokens
    from server.auditing import by_command
    from server.runtime import open_runtime

    now = datetime.now(UTC)
    subject: dict[str, str] = {}
    with by_command(open_runtime(settings_of(data)), "token rotate", subject).transaction() as session:
        secret, made, old = tokens.rotate(session, which, now, grace * 3600)
        subject |= {"token": made.prefix, "old": old.prefix}
    typer.echo(secret)
    typer.echo(f"{old.prefix} ends {old.revoked_at or old.expires_at:%Y-%m-%d %H:%M} UTC", err=True)


@token.command("revoke")
def token_revoke(
    which: Annotated[str, typer.Argument(help="Name or prefix of the token.")], data: DataOption = None
) -> None:
    """Revoke a token; servers refuse it within five seconds."""
    from db import tokens
    from server.auditing import by_command
    from server.runtime import open_runtime

    subject: dict[str, str] = {}
    with by_command(open_runtime(settings_of(data)), "token revoke", subject).transaction() as session:
        gone = tokens.revoke(session, which, datetime.now(UTC))
        subject |= {"token": " ".join(one.prefix for one in gone)}
    typer.echo(f"revoked {which}")
