"""OpenTelemetry: spans, metrics and events of everything that happens in this process.

    from baton.contrib.otel import instrument

    instrument()

Names follow OpenTelemetry's conventions for messaging where they have one (semantic conventions
1.37, in development), else `baton.*`.
"""

from baton.contrib.otel.instrument import instrument

__all__ = ["instrument"]
