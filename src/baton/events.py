"""Every event that `baton.subscribe` can bring, as typed records."""

from baton.words.events import *  # noqa: F403 the list is there
from baton.words.events import __all__ as __all__
