"""The queues of this service, and pieces that several statements share."""

DELIVERIES = "integration-dispatcher.deliveries"
EVENTS = "integration-dispatcher.events"
INBOUND = "integration-dispatcher.inbound"
OPEN = "('pending', 'retrying')"


def report_items(source: str, *, worker: str, trace: str) -> str:
    """A select of queue rows, one `delivery.*` event per row of `source` (which has the columns of delivery_logs)."""
    return f"""
select '{EVENTS}' as queue, null::text as key, null::bigint as seq, request_id::text as ref,
       jsonb_build_object(
         'request_id', request_id, 'session_id', session_id, 'user_id', user_id, 'delivery_id', id,
         'integration', integration, 'status', status, 'reason', reason, 'trace', {trace}
       ) as payload,
       {worker} as worker
from {source}"""
