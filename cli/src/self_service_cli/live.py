"""An answer on the screen while it is made."""

from shared_clients.stream import ServerSentEvent
from shared_models.enums import RequestStatus
from shared_models.schemas import RequestResult

from self_service_cli.answers import ended_without_answer, show_rest
from self_service_cli.following import fields_of
from self_service_cli.output import Output


class LiveAnswer:
    """On a terminal: text as it comes on stdout, tools on stderr. In a pipe, or for a script: nothing but the end."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._shown = ""

    def on_event(self, event: ServerSentEvent) -> None:
        fields = fields_of(event)
        match event.event:
            case "delta":
                self._grow(str(fields.get("text", "")))
            case "reset":
                self._begin_anew()
            case "tool":
                self._out.progress(f"… {fields.get('name', 'a tool')}")

    def finish(self, result: RequestResult) -> None:
        """Show what is missing. Raises Failure when the request ended without an answer."""
        if result.status is not RequestStatus.COMPLETED or result.response is None:
            self._begin_anew()
            raise ended_without_answer(result)
        if self._out.is_json:
            self._out.document(result)
            return
        whole = result.response.content
        if self._shown and whole.startswith(self._shown):
            self._out.piece(whole[len(self._shown) :] + "\n")
        else:
            self._begin_anew()
            self._out.markdown(whole)
        show_rest(self._out, result.response)

    def _grow(self, text: str) -> None:
        if self._out.is_terminal:
            self._out.piece(text)
            self._shown += text

    def _begin_anew(self) -> None:
        if self._shown:
            self._out.piece("\n")
        self._shown = ""
