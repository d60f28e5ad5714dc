"""Settings about access: addresses, the authorization server, limits, how long is kept who did what. See `settings`."""

from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings

LOOPBACK = ("127.0.0.1", "localhost", "::1")


class AccessSettings(BaseSettings):
    """What an operator may set about who comes in, and how often."""

    public_url: str = Field("", description="https://name that clients use; empty: what their Host header says")
    trusted_proxies: str = Field("", description="addresses whose X-Forwarded-* headers count, or *; empty: nobody's")
    oauth_issuer: str = Field("", description="authorization server whose access tokens count; empty: none")
    oauth_audience: str = Field(
        "", description="audiences of these tokens, by commas; empty: IGLA_PUBLIC_URL and its /mcp"
    )
    oauth_jwks_url: str = Field("", description="the issuer's keys; empty: where its metadata says")
    rate: str = Field("600/minute", description="calls of one principal; empty: as many as it likes")
    rate_tools: str = Field(
        "claim_job=6000/minute,run_chunk=6000/minute,write_bpb=6000/minute,heartbeat=6000/minute,"
        "submit_job=60/minute,plan_race=20/minute,submit_entry=60/minute,run_entry=60/minute",
        description="calls of one principal to one tool: tool=N/unit, separated by commas",
    )
    rate_failures: str = Field("60/minute", description="wrong tokens from one address; empty: as many as it likes")
    rate_redis: SecretStr | None = Field(None, description="redis:// where replicas count together; empty: each alone")
    replicas: int = Field(1, ge=1, le=1000, description="web processes among which limits in memory are divided")
    audit_days: int = Field(365, ge=0, description="days for which it is kept who changed what; 0: for ever")
    traffic_days: int = Field(7, ge=0, description="days for which calls are kept; 0: for ever")
    oauth_scope_prefix: str = Field("igla:", description="what stands before our scopes in these tokens")

    @field_validator("public_url")
    @classmethod
    def is_origin(cls, value: str) -> str:
        """Scheme and name, nothing behind them."""
        parts = urlsplit(value.rstrip("/"))
        more = parts.path or parts.query or parts.fragment or "@" in parts.netloc
        if value and (parts.scheme not in ("http", "https") or not parts.hostname or more):
            raise ValueError("must be https://name, without a path or a user")
        return value.rstrip("/")

    @model_validator(mode="after")
    def issuer_is_whole(self) -> "AccessSettings":
        """An issuer needs an audience: a token for another service must open nothing here."""
        for url in filter(None, (self.oauth_issuer, self.oauth_jwks_url)):
            local = urlsplit(url).scheme == "http" and urlsplit(url).hostname in LOOPBACK
            if not urlsplit(url).hostname or not (urlsplit(url).scheme == "https" or local):
                raise ValueError("IGLA_OAUTH_ISSUER and IGLA_OAUTH_JWKS_URL must be https://")
        if self.oauth_issuer and not self.audiences:
            raise ValueError("IGLA_OAUTH_ISSUER needs IGLA_OAUTH_AUDIENCE or IGLA_PUBLIC_URL")
        return self

    @property
    def audiences(self) -> list[str]:
        """Audiences of access tokens that are for this server."""
        named = [name.strip() for name in self.oauth_audience.split(",") if name.strip()]
        return named or ([self.public_url, f"{self.public_url}/mcp"] if self.public_url else [])
