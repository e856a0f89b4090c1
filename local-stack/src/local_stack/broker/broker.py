"""The running broker: takes events, stores them, hands them to the subscriptions of their triggers."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from functools import partial

from shared_models.enums import ServiceName
from shared_models.tokens import ServiceTokens

from local_stack.broker.courier import Courier
from local_stack.broker.knobs import Knobs
from local_stack.broker.manifests import BrokerConfig, Trigger, read_manifests
from local_stack.broker.settings import BrokerSettings
from local_stack.broker.store import New, Store, Stored
from local_stack.broker.subscription import Edges, Subscription
from local_stack.broker.wire import Event
from local_stack.broker.writers import Completions, Intake


class Broker:
    """`received`: events taken so far, by type. `counts`: what has become of their deliveries, by name."""

    def __init__(self, settings: BrokerSettings) -> None:
        self.tokens = ServiceTokens(settings.service_token_key.get_secret_value(), ServiceName.BROKER)
        text = settings.broker_manifests.read_text()
        configs = read_manifests(text, settings.subscribers(), settings.broker_mode)
        self.brokers: dict[str, BrokerConfig] = {config.path: config for config in configs}
        self.received: Counter[str] = Counter()
        self._courier = Courier(settings.broker_mode, self.tokens)
        self._store = Store(settings.database_url.get_secret_value())
        self._completions = Completions(self._store.complete)
        self._changed = asyncio.Event()
        self._intake = Intake(self._store.insert, self._admit, self._fall_behind)
        self._subscriptions = {
            (config.path, trigger.name): self._subscribe(config, trigger)
            for config in configs
            for trigger in config.triggers
        }
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def counts(self) -> Mapping[str, int]:
        return self._courier.counts

    @property
    def knobs(self) -> Knobs:
        return self._courier.mischief.knobs

    def set_knobs(self, knobs: Knobs) -> None:
        self._courier.mischief.set(knobs)

    async def is_ready(self) -> bool:
        return await self._store.is_ready()

    @property
    def held(self) -> int:
        """Deliveries in memory."""
        return sum(subscription.held for subscription in self._subscriptions.values())

    @property
    def is_idle(self) -> bool:
        """Everything that was taken is delivered or given up, and this is stored."""
        subscriptions = self._subscriptions.values()
        return (
            self._intake.is_empty
            and all(subscription.is_idle for subscription in subscriptions)
            and self._completions.is_empty
        )

    async def idle(self) -> None:
        while not self.is_idle:
            self._changed.clear()
            await self._changed.wait()

    async def start(self) -> None:
        """Take up what an earlier process has left. Raises AnotherBroker, Unavailable."""
        self._intake.start_after(await self._store.last_id())
        await self._store.prune(sorted({name for _, name in self._subscriptions}))
        await self._courier.open()
        self._tasks = [
            asyncio.create_task(self._intake.run()),
            asyncio.create_task(self._completions.run(self._changed)),
        ]
        self._fall_behind()

    async def close(self) -> None:
        """Stop at once; what is under way is delivered again after the next start."""
        for subscription in self._subscriptions.values():
            await subscription.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._completions.flush()
        await self._courier.close()
        await self._store.close()

    async def publish(self, path: str, event: Event) -> None:
        """Returns when the event is durable. `path` of a known broker. Raises Unavailable."""
        triggers = [trigger.name for trigger in self.brokers[path].triggers if trigger.filter.admits(event.attributes)]
        if triggers:
            await self._intake.put(New(path, triggers, event))
        self.received[event.type] += 1

    def _subscribe(self, config: BrokerConfig, trigger: Trigger) -> Subscription:
        return Subscription(
            trigger,
            self._courier,
            Edges(
                load=partial(self._store.load, config.path),
                done=self._completions.add,
                publish=partial(self.publish, config.path),
                changed=self._changed,
            ),
        )

    def _admit(self, batch: list[New]) -> None:
        for new in batch:
            stored = Stored(new.id, new.event)
            for name in new.triggers:
                self._subscriptions[new.broker, name].admit(stored)

    def _fall_behind(self) -> None:
        for subscription in self._subscriptions.values():
            subscription.fall_behind()
