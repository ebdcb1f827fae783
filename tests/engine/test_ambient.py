"""Which engine is meant when none is given."""

from __future__ import annotations

import asyncio
import threading

import pytest

from baton import EngineSettings
from baton.errors import NoEngineError
from baton.store import ambient
from baton.store.store import Store, store_of
from support.inserting import Client, Connection, counts, diamond


class TestAmbient:
    def named(self, client: Client, name: str) -> Client:
        return Client(store_of(client), EngineSettings(name=name))

    async def test_the_nearest_then_the_default_then_the_only_one(self, client: Client) -> None:
        other, third = self.named(client, "other"), self.named(client, "third")
        assert ambient.current() is client
        ambient.enter(other)
        assert ambient.current() is other

        async def in_a_task_of_its_own() -> ambient.Instance:
            ambient.enter(third)
            return ambient.current()

        assert await asyncio.create_task(in_a_task_of_its_own()) is third
        assert ambient.current() is other
        assert ambient.current("third") is third
        assert ambient.current("default") is client
        assert ambient.current(third) is third
        ambient.leave(other)
        assert ambient.current() is client
        ambient.leave(client)
        assert ambient.current() is third
        ambient.enter(other)
        ambient.leave(third)
        ambient.leave(third)
        ambient.leave(other)
        with pytest.raises(NoEngineError):
            ambient.current()

    async def test_of_two_with_no_name_in_common_none_is_guessed(self, client: Client) -> None:
        ambient.leave(client)

        async def enter(*names: str) -> list[Client]:
            entered = [self.named(client, name) for name in names]
            for instance in entered:
                ambient.enter(instance)
            return entered

        entered = await asyncio.create_task(enter("one", "two"))
        with pytest.raises(NoEngineError, match="'default'"):
            ambient.current()
        for instance in entered:
            ambient.leave(instance)

    async def test_of_two_of_one_name_none_is_guessed(self, client: Client) -> None:
        twin = Client(store_of(client), EngineSettings(name="default", node="twin"))
        ambient.enter(twin)
        # Both would do the same: the later one outlives the other in a change-over.
        assert ambient.current("default") is twin
        store = Store(client.database.dsn, schema="elsewhere")
        stranger = Client(store, EngineSettings(name="default"))
        ambient.enter(stranger)
        with pytest.raises(NoEngineError, match=r"3 engines named 'default' run here.*engine=…"):
            ambient.current("default")
        assert ambient.current() is stranger
        with pytest.raises(NoEngineError, match=r"running are .*: pass engine=…"):
            ambient.current("reports")
        for instance in (twin, stranger):
            ambient.leave(instance)
        assert ambient.current("default") is client

    async def test_an_engine_of_another_loop_is_not_used(self, client: Client) -> None:
        found: list[object] = []

        async def look() -> None:
            try:
                found.append(ambient.current())
            except NoEngineError as error:
                found.append(error)

        thread = threading.Thread(target=lambda: asyncio.run(look()))
        thread.start()
        await asyncio.to_thread(thread.join)
        assert isinstance(found[0], NoEngineError)

    async def test_a_named_engine_is_found(self, client: Client, db: Connection) -> None:
        ambient.enter(self.named(client, "reports"))
        await diamond().insert(engine="reports")
        ambient.leave(ambient.current("reports"))
        assert await counts(db) == (1, 4, 4)
