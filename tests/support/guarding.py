"""A server that wants passwords."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from baton.testing import embedded_postgres

ACCESS = "local all postgres trust\nlocal all stranger reject\nlocal all all scram-sha-256\n"


@contextmanager
def guarded_server() -> Iterator[str]:
    """The DSN of its superuser, who needs none."""
    with tempfile.NamedTemporaryFile("w") as access:
        access.write(ACCESS)
        access.flush()
        Path(access.name).chmod(0o644)
        with embedded_postgres(settings={"hba_file": access.name, "fsync": "off"}) as dsn:
            yield dsn
