"""Prices: exact, of the installed library, without a network; what is not known is None."""

from __future__ import annotations

import decimal
import logging
import subprocess
import sys
from decimal import Decimal
from typing import Any

import genai_prices
import pytest

from baton.steps.pricing import price

MOST = 2**63 - 1


def priced(model: str, provider: str | None = None, **tokens: int) -> Decimal | None:
    counts = dict.fromkeys(
        ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"), 0
    )
    return price(model, provider, **{**counts, **tokens})


def test_known_models_cost_what_the_library_says() -> None:
    cost = priced("gpt-4o", input_tokens=1_000, output_tokens=50, cache_read_tokens=400)
    # 600 at 2.50, 400 at 1.25 and 50 at 10.00 USD per million.
    assert cost == Decimal("0.0025")
    assert priced("gpt-4o", "openai", input_tokens=1_000_000) == Decimal("2.5")
    assert priced("gpt-4o") == 0


def test_input_includes_what_was_cached() -> None:
    fresh = priced("claude-sonnet-4-20250514", input_tokens=1_000_000)
    read = priced("claude-sonnet-4-20250514", input_tokens=1_000, cache_read_tokens=1_000)
    whole = priced("claude-sonnet-4-20250514", input_tokens=1_000)
    assert None not in (fresh, read, whole)
    assert 0 < (read or 0) < (whole or 0)


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("house-llm", None),
        ("gpt-4o", "house"),
        ("house-llm", "openai"),
        ("gpt-4o-of-ours", None),
        ("\\", None),
        ("(?P<a", "[a-"),
    ],
)
def test_what_is_unknown_has_no_price(model: str, provider: str | None) -> None:
    assert priced(model, provider, input_tokens=1) is None


def unpriced_models() -> list[tuple[str, str]]:
    """Models that the library knows, without a price for output."""
    found: list[tuple[str, str]] = []
    for provider in genai_prices.data.providers:
        for model in provider.models:
            prices: Any = model.prices
            if not isinstance(prices, list) and prices.output_mtok is None:
                found.append((model.id, provider.id))
    return found


def test_a_model_without_a_price_is_not_free() -> None:
    models = unpriced_models()
    assert models
    assert {priced(model, provider, output_tokens=1_000_000) for model, provider in models} == {
        None
    }


def test_a_decimal_context_of_the_application_changes_nothing() -> None:
    exact = priced("gpt-4o", input_tokens=MOST, output_tokens=MOST)
    with decimal.localcontext(decimal.Context(prec=2, traps=[decimal.Inexact])):
        assert priced("gpt-4o", input_tokens=MOST, output_tokens=MOST) == exact
    with decimal.localcontext(prec=60):
        assert exact == Decimal(MOST) * Decimal("0.0000125")


def test_a_library_that_fails_fails_nobody(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(genai_prices, "calc_price", broken)
    with caplog.at_level(logging.WARNING):
        assert priced("gpt-4o", input_tokens=1) is None
    assert "'gpt-4o' could not be priced" in caplog.text


ALONE = """
import sys
{before}
import socket, threading

def refuse(*_, **__):
    raise AssertionError("the network was asked")

socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
import baton
from baton.steps.pricing import price
tokens = dict(input_tokens=1_000_000, output_tokens=0, cache_read_tokens=0, cache_write_tokens=0)
print(price("gpt-4o", None, **tokens), price("nobody", None, **tokens), threading.active_count())
"""


def alone(before: str = "") -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", ALONE.format(before=before)],
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_network_is_never_asked() -> None:
    assert alone() == "2.50 None 1\n"


def test_without_the_library_nothing_has_a_price() -> None:
    assert alone("sys.modules['genai_prices'] = None") == "None None 1\n"
