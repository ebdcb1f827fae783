"""Writes the totals as markdown: pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from examples.demo.models import Counts, FileFacts, Totals


def markdown(totals: Totals) -> str:
    """The report. What has nothing to tell is left out."""
    return "\n".join(_lines(totals)) + "\n"


def _lines(totals: Totals) -> Iterator[str]:
    yield f"# {totals.root}"
    yield ""
    yield (
        f"{totals.files:,} files, {totals.size:,} bytes; {totals.read:,} read: "
        f"{totals.lines:,} lines, {totals.words:,} words."
    )
    yield f"Kinds: {_counted(totals.kinds)}."
    yield from _section("Most frequent terms", _terms(totals.terms))
    yield from _section("Largest files", map(_largest, totals.largest))
    yield from _section("Logs", _logs(totals))
    yield from _section(
        f"Broken links ({totals.links:,} relative links in markdown files were followed)",
        (f"- {path}: {', '.join(links)}" for path, links in sorted(totals.broken_links.items())),
    )
    yield from _section(
        "The same content", (f"- {' = '.join(paths)}" for paths in totals.duplicates)
    )
    yield from _section(
        "Notes", (f"- {path}: {note}" for path, note in sorted(totals.notes.items()))
    )


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    found = list(lines)
    if found:
        yield from ("", f"## {title}", "", *found)


def _terms(terms: Counts) -> Iterator[str]:
    if terms:
        yield _counted(terms) + "."


def _largest(facts: FileFacts) -> str:
    top = f"; {', '.join(facts.top_terms)}" if facts.top_terms else ""
    return f"- {facts.path}: {facts.size:,} bytes, {facts.lines:,} lines{top}"


def _logs(totals: Totals) -> Iterator[str]:
    if totals.levels:
        yield f"{_counted(totals.levels)} in all."
        yield ""
    for facts in totals.logs:
        span = f"{facts.first_time} to {facts.last_time}" if facts.first_time else "no times"
        yield f"- {facts.path}: {span}; {_counted(facts.levels) or 'no levels'}"


def _counted(counts: Counts) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts)
