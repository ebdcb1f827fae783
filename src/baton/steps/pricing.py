"""What a use of a model costs, from the prices that the package genai-prices carries within itself.

The only place that imports it (extra `prices`). Baton never starts its updater and never asks the
network; an application that runs the updater itself prices with what that brought.
"""

from __future__ import annotations

import logging
from decimal import Context, Decimal, localcontext

try:
    import genai_prices

    # Loaded here because the first price would else load it, inside the event loop.
    import genai_prices.data  # pyright: ignore[reportUnusedImport]
except ImportError:
    _installed = False
else:
    _installed = True

_log = logging.getLogger("baton")

# A use of 2⁶³ tokens at a price of 20 digits is exact.
_DIGITS = 60


def price(
    model: str,
    provider: str | None,
    *,
    input_tokens: int,
    output_tokens: int,
    cache_read_tokens: int,
    cache_write_tokens: int,
) -> Decimal | None:
    """The cost in USD at this moment's prices, `input_tokens` including the cached ones.

    None when the library is not installed, does not know the model (or the provider), or has no
    price for what was used: never a guess, never an error. Without a provider the library chooses
    it by the model's name.
    """
    if not _installed:
        return None
    try:
        # The application's own decimal context may round, or raise.
        with localcontext(Context(prec=_DIGITS)):
            calculated = genai_prices.calc_price(
                genai_prices.Usage(
                    input_tokens=input_tokens,
                    output_tokens=output_tokens,
                    cache_read_tokens=cache_read_tokens,
                    cache_write_tokens=cache_write_tokens,
                ),
                model,
                provider_id=provider,
            )
    except LookupError:
        return None
    except Exception:
        _log.warning("a use of model %r could not be priced", model, exc_info=True)
        return None
    # Of a model whose price it does not know the library says that it costs nothing.
    prices = calculated.model_price
    unknown = (input_tokens and prices.input_mtok is None) or (
        output_tokens and prices.output_mtok is None
    )
    return None if unknown else calculated.total_price
