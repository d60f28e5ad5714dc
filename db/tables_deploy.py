"""Tables of deploys: what keeps them off, and who carries one out."""

from datetime import datetime

from sqlmodel import Field

from db.tables import Base, table


class Deploy(Base, table=True):
    """What holds for one account, or with an empty name for all of them.

    off_since: nothing may be changed from then on. busy_until: somebody carries out a plan until then at the latest.
    """

    __tablename__ = "deploy"
    account: str = Field(primary_key=True)
    off_since: datetime | None
    off_by: str | None
    busy_until: datetime | None
    busy_with: str | None


DEPLOY = table(Deploy)
