"""Any JSON, of which much looks like a reference."""

from __future__ import annotations

from hypothesis import strategies as st

# Keys that could be taken for references are as likely as all others.
keys = st.sampled_from(["$", "$$", "$result", "$input", "$item", "path", "$$result", "a"])
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | texts | keys,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys | texts, inner, max_size=4),
    max_leaves=20,
)
