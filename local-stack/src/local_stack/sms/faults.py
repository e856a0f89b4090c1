"""What the provider does on a bad day."""

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from local_stack.servicenow.faults import Fault
from local_stack.sms.rules import ApiError


class SmsFault(Fault):
    """As a fault of the ServiceNow stand-in (`after_effect`: the message is sent, and its reply is lost), with a `code`."""

    code: int = 20500

    def response(self) -> Response | None:
        if self.status is None:
            return None
        headers = {} if self.retry_after_s is None else {"retry-after": str(self.retry_after_s)}
        return JSONResponse(ApiError(self.status, self.code, "A scripted fault").body, self.status, headers=headers)


class Reports(BaseModel):
    """How what became of a message is told: which states and in which order (None: as they happen), how often each;
    `are_held`: not before they are released."""

    model_config = ConfigDict(extra="forbid")

    statuses: list[str] | None = None
    copies: int = Field(default=1, ge=0, le=5)
    are_held: bool = False
