"""The environment variables of request-manager."""

from datetime import timedelta
from typing import Self

from pydantic import Field, model_validator
from shared_models.settings import Profile, ServiceSettings

from request_manager.domain.limits import Limits


class RequestManagerSettings(ServiceSettings):
    """Bad combinations stop the start with a ValueError. Names in capitals are the variables' names."""

    oidc_issuer: str = Field(default="", description="empty: nobody signs in with OIDC, API keys only")
    oidc_audience: str = ""
    oidc_roles_claim: str = Field(
        default="", description="claim with role names, dots for nesting; empty: stored roles"
    )
    oidc_jwks_url: str = Field(default="", description="default: found by the issuer's discovery document")
    oidc_trust_email: bool = Field(
        default=False, description="the issuer checks all addresses but sends no email_verified"
    )
    bootstrap_admin: str = Field(default="", description="verified e-mail address of the first administrator")

    requests_per_minute: int = Field(default=60, ge=1)
    running_requests: int = Field(default=3, ge=1)
    waiting_requests: int = Field(default=50, ge=0)
    sync_wait_s: float = Field(default=25.0, ge=0, le=120)
    max_wait_s: float = Field(default=120.0, ge=0, le=600)
    request_deadline_hours: float = Field(default=24.0, gt=0)
    session_timeout_hours: float = Field(default=336.0, gt=0)
    handover_attempts: int = Field(default=2000, ge=1, description="some eight hours of agent-service being away")
    relay_concurrency: int = Field(default=1024, ge=1)

    @model_validator(mode="after")
    def check_sign_in(self) -> Self:
        if bool(self.oidc_issuer) != bool(self.oidc_audience):
            raise ValueError("OIDC_ISSUER and OIDC_AUDIENCE belong together: set both or none")
        is_plain = any(url.startswith("http://") for url in (self.oidc_issuer, self.oidc_jwks_url))
        if is_plain and self.profile is not Profile.LOCAL:
            raise ValueError("OIDC_ISSUER and OIDC_JWKS_URL must be https outside the local profile")
        return self

    @property
    def limits(self) -> Limits:
        return Limits(
            per_minute=self.requests_per_minute,
            open_requests=self.running_requests + self.waiting_requests,
            session_timeout=timedelta(hours=self.session_timeout_hours),
            deadline=timedelta(hours=self.request_deadline_hours),
        )

    @property
    def listen_url(self) -> str:
        return self.database_listen_url.get_secret_value() or self.database_url.get_secret_value()
