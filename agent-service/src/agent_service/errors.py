"""What can go wrong while an agent answers. `title` is what the person reads; `retryable` says whether asking again may help."""

from shared_models.errors import ServiceError


class ModelError(ServiceError):
    """A call of the model that brought no usable reply."""

    status = 503
    code = "model_error"
    title = "The AI model could not answer just now, so nothing was done. Please ask again in a moment."
    retryable = True


class ModelUnavailable(ModelError):
    """The model server is away, answered 5xx, or its stream was cut."""

    code = "model_unavailable"
    title = "The AI model does not answer right now. Nothing was lost; please ask again in a few minutes."


class ModelTimeout(ModelError):
    """No whole reply within the time limit of one call."""

    code = "model_timeout"
    title = "The AI model took too long to answer. Please ask again in a moment."


class ModelRateLimited(ModelError):
    """The model server asks for a pause; `retry_after_s` when it said how long."""

    code = "model_rate_limited"
    title = "The AI model is busy with many questions. Please ask again in a minute."


class ModelContextOverflow(ModelError):
    """The input is longer than the model can read."""

    code = "model_context_overflow"
    title = "This conversation has become too long for the AI model. Write 'new' to start a fresh one."
    retryable = False


class ModelAuthFailed(ModelError):
    """The model server refused our key, or does not know the model: an operator has to act."""

    code = "model_auth_failed"
    title = "The AI model refused our access. Your IT team has to repair the set-up; please tell them."
    retryable = False


class ModelGarbage(ModelError):
    """The reply could not be read, was empty, or asked for the impossible again and again."""

    code = "model_garbage"
    title = "The AI model gave an answer that makes no sense, so it was thrown away. Please ask again."


class ToolServerUnavailable(ServiceError):
    """An MCP server is away or refused us. No fact may be told without it. `detail` names the server, for logs."""

    status = 503
    code = "tool_server_unavailable"
    title = "A system that I need for this does not answer right now, so I cannot tell you anything reliable. Please ask again in a few minutes."
    retryable = True


class ToolTimeout(ServiceError):
    """A tool call took too long. It may have had its effect: repeat it only with the same intent."""

    status = 504
    code = "tool_timeout"
    title = "A system that I need for this took too long to answer. Please ask again in a few minutes."
    retryable = True


class KnowledgeUnavailable(ServiceError):
    """The documents cannot be searched now."""

    status = 503
    code = "knowledge_unavailable"
    title = "I cannot look into our documents right now. Please ask again in a few minutes."
    retryable = True


class ConversationLost(ServiceError):
    """The model server does not know this conversation (any more): make it again from our rows."""

    status = 404
    code = "conversation_lost"
    title = "The model server lost its copy of this conversation."
