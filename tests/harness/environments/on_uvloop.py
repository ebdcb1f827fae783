"""A plugin of pytest: the tests' loops are uvloop's."""

from __future__ import annotations

import asyncio

import uvloop

asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
