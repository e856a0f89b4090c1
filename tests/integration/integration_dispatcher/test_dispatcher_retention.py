"""What the dispatcher removes after its time, and that a late event is then still not delivered again."""

from integration_dispatcher.store.retention import removals
from shared_models.ids import new_id
from shared_models.retention import Retention

from tests.support.dispatcher import Dispatcher, ended, settings, wish

CONTENT = ("delivery_logs", "delivery_attempts", "test_messages")


async def remove(dispatcher: Dispatcher) -> dict[str, int]:
    given = settings("postgresql://not-used")
    removed = await Retention(dispatcher.parts.database, removals(given)).run_once()
    return {what: count for what, count in removed.items() if count}


async def age(dispatcher: Dispatcher, days: float) -> None:
    await dispatcher.sql("update delivery_plans set created_at = created_at - $1 * interval '1 day'", days)
    await dispatcher.sql(
        "update test_messages set received_at = received_at - $1 * interval '1 day',"
        " delivery_id = ('000000000000' || substring(replace(delivery_id::text, '-', '') from 13))::uuid",
        days,
    )


async def counts(dispatcher: Dispatcher) -> list[object]:
    return [await dispatcher.parts.database.fetchval(f"select count(*) from {table}") for table in CONTENT]


async def test_deliveries_go_and_a_late_answer_is_not_delivered_again(dispatcher: Dispatcher) -> None:
    user = new_id()
    answer = ended(user, wish("test"))
    await dispatcher.plan(answer)
    await dispatcher.idle()
    assert await counts(dispatcher) == [1, 1, 1]
    await age(dispatcher, 89)
    assert await remove(dispatcher) == {}
    await age(dispatcher, 2)
    assert await remove(dispatcher) == {"deliveries": 1, "test_messages": 1}
    assert await counts(dispatcher) == [0, 0, 0]
    assert await dispatcher.parts.database.fetchval("select message from delivery_plans") == ""
    await dispatcher.plan(answer)
    await dispatcher.idle()
    assert await counts(dispatcher) == [0, 0, 0]
    assert len(dispatcher.sink.reports) == 1
    await age(dispatcher, 400)
    assert await remove(dispatcher) == {"delivery_plans": 1}


async def test_a_delivery_that_is_still_tried_stays(dispatcher: Dispatcher) -> None:
    await dispatcher.plan(ended(new_id(), wish("test")))
    await dispatcher.idle()
    await age(dispatcher, 500)
    await dispatcher.sql("update delivery_logs set status = 'retrying', expires_at = 'infinity', ended_at = null")
    await dispatcher.sql("delete from test_messages")
    assert await remove(dispatcher) == {}


async def test_places_to_which_nothing_was_sent_for_long_are_forgotten(dispatcher: Dispatcher) -> None:
    insert = "insert into send_windows (name, free_at) values ($1, now() - $2 * interval '1 day')"
    await dispatcher.sql(insert, "slack in C1", 91)
    await dispatcher.sql(insert, "slack in C2", 1)
    assert await remove(dispatcher) == {"send_windows": 1}
    assert await dispatcher.parts.database.fetchval("select name from send_windows") == "slack in C2"


async def test_sms_are_forgotten_and_phones_too_but_not_that_they_said_stop(dispatcher: Dispatcher) -> None:
    await dispatcher.sql(
        "insert into sms_messages (sid, status, rank, created_at, is_due) values"
        " ('old', 'delivered', 5, now() - interval '91 days', false), ('new', 'sent', 4, now(), false),"
        " ('due', 'failed', 5, now() - interval '91 days', true)"
    )
    await dispatcher.sql(
        "insert into sms_phones (phone, stopped_at, answered_at, created_at) values"
        " ('+14155550100', now() - interval '900 days', null, now() - interval '900 days'),"
        " ('+14155550101', null, now() - interval '91 days', now() - interval '900 days'),"
        " ('+14155550102', null, now(), now() - interval '900 days')"
    )
    assert await remove(dispatcher) == {"sms_messages": 1, "sms_phones": 1}
    kept = await dispatcher.parts.database.fetch("select phone from sms_phones order by phone")
    assert [row["phone"] for row in kept] == ["+14155550100", "+14155550102"]
