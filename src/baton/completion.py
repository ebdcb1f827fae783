"""For another host of the same tables: settle a step it ended, announce a workflow that
has ended.
"""

from baton.settling.announce import announce, check

__all__ = ["announce", "check"]
