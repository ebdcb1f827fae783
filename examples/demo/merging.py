"""Adds up what the steps found: pure functions."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from examples.demo.models import FileFacts, Kind, Measured, Totals

LARGEST = 10
TOP_TERMS = 20
MOST_SHOWN = 50


def merged(root: str, parts: Sequence[Measured]) -> Totals:
    """The totals over the results of all reading steps. Lists are cut to what a report shows."""
    files = sorted((facts for part in parts for facts in part.files), key=lambda facts: facts.path)
    read = [facts for facts in files if facts.kind is not Kind.NOT_READ]
    terms: Counter[str] = Counter()
    levels: Counter[str] = Counter()
    for part in parts:
        terms.update(dict(part.terms))
    for facts in read:
        levels.update(dict(facts.levels))
    broken = {facts.path: facts.broken_links for facts in read if facts.broken_links}
    notes = {facts.path: facts.note for facts in files if facts.note}
    return Totals(
        root=root,
        files=len(files),
        read=len(read),
        size=sum(facts.size for facts in files),
        lines=sum(facts.lines for facts in read),
        words=sum(facts.words for facts in read),
        links=sum(facts.links for facts in read),
        terms=terms.most_common(TOP_TERMS),
        kinds=Counter(str(facts.kind) for facts in files).most_common(),
        levels=levels.most_common(),
        largest=sorted(files, key=lambda facts: (-facts.size, facts.path))[:LARGEST],
        logs=[facts for facts in read if facts.kind is Kind.LOG][:MOST_SHOWN],
        duplicates=_duplicates(read),
        broken_links=dict(list(broken.items())[:MOST_SHOWN]),
        notes=dict(list(notes.items())[:MOST_SHOWN]),
    )


def _duplicates(files: Sequence[FileFacts]) -> list[list[str]]:
    same: defaultdict[str, list[str]] = defaultdict(list)
    for facts in files:
        # All empty files are equal, which says nothing.
        if facts.digest and facts.size:
            same[facts.digest].append(facts.path)
    return sorted(paths for paths in same.values() if len(paths) > 1)[:MOST_SHOWN]
