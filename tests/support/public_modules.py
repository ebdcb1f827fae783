"""The modules that applications import from."""

from __future__ import annotations

from types import ModuleType

import baton
import baton.completion
import baton.errors
import baton.events
import baton.insights
import baton.schema
import baton.statistics
import baton.testing

PUBLIC_MODULES: tuple[ModuleType, ...] = (
    baton,
    baton.completion,
    baton.errors,
    baton.events,
    baton.insights,
    baton.schema,
    baton.statistics,
    baton.testing,
)
