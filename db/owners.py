"""Owners: a claim belongs to the principal that made it, and the fence alone opens it to nobody else."""

from db.store import Stored
from errors import Refusal


class NotYourClaim(Refusal):
    """Claim a job of your own: this one belongs to the principal that claimed it."""

    code = "not_your_claim"
    status = 403


def refuse_others(row: Stored, owner: str | None) -> None:
    """Refuse (NotYourClaim) who did not claim the job. owner: None for the server itself and operators."""
    if owner is not None and row.claimed_by not in (None, owner):
        raise NotYourClaim("Another principal claimed the job.")
