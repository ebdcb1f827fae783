"""Measures one file: pure functions of its text, and a little of the folder it lies in."""

from __future__ import annotations

import hashlib
import keyword
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from examples.demo.models import FileFacts, Kind, PlannedFile
from examples.demo.reading import LOG_LEVEL, LOG_TIME, MARGIN, READ_LIMIT, decoded, read_beginning

TERM = re.compile(r"[^\W\d_]\w{3,39}")
LINK = re.compile(r"\[[^\[\]\n]{0,200}\]\(\s*<?([^()\s<>]{1,500})")
QUOTED = re.compile(r"`[^`\n]{0,1000}`")
FENCE = re.compile(r"^ {0,3}(```|~~~)")
SCHEME = re.compile(r"^([a-zA-Z][a-zA-Z0-9+.-]*:|//|#)")
MOST_BROKEN = 50
TOP_OF_FILE = 5

COMMON = frozenset(keyword.kwlist) | frozenset(
    """about after also been before does each from have into more most none once only other over
    same self some such than that their them then there these they this those unless until what when
    where which while will with your""".split()  # noqa: SIM905
)


def measure(root: Path, planned: PlannedFile) -> tuple[FileFacts, Counter[str]]:
    """The facts of one file and how often each of its terms occurs."""
    facts = FileFacts(path=planned.path, kind=planned.kind, size=planned.size, note=planned.note)
    if planned.kind is Kind.NOT_READ:
        return facts, Counter()
    path = root / planned.path
    content = read_beginning(path, READ_LIMIT)
    if content.note:
        return facts.model_copy(update={"kind": Kind.NOT_READ, "note": content.note}), Counter()
    facts.size = content.size
    if content.size <= len(content.data):
        facts.digest = hashlib.sha256(content.data).hexdigest()
    else:
        facts.note = f"only the first {READ_LIMIT:,} bytes were read"
    text = decoded(content.data)
    terms = count_terms(text)
    facts.lines = len(text.splitlines())
    facts.words = len(text.split())
    facts.top_terms = [term for term, _ in terms.most_common(TOP_OF_FILE)]
    if planned.kind is Kind.LOG:
        _read_log(facts, text)
    if planned.kind is Kind.MARKDOWN:
        _read_links(facts, text, root, path.parent)
    return facts, terms


def count_terms(text: str) -> Counter[str]:
    """Words and identifiers of 4 to 40 characters, but common English ones and keywords."""
    found = Counter(term.group() for term in TERM.finditer(text))
    return Counter({term: count for term, count in found.items() if term.lower() not in COMMON})


def relative_links(text: str) -> Iterator[str]:
    """The targets of markdown links to other files; what is quoted as code is left out."""
    fenced = False
    for line in text.splitlines():
        if FENCE.match(line):
            fenced = not fenced
        elif not fenced:
            for link in LINK.finditer(QUOTED.sub("", line)):
                if not SCHEME.match(link[1]):
                    yield link[1]


def _read_log(facts: FileFacts, text: str) -> None:
    levels: Counter[str] = Counter()
    times: list[str] = []
    for line in text.splitlines():
        margin = line[:MARGIN]
        if level := LOG_LEVEL.search(margin):
            levels["WARNING" if level[1] == "WARN" else level[1]] += 1
        if time := LOG_TIME.search(margin):
            times.append(time[0].replace("T", " "))
    facts.levels = levels.most_common()
    if times:
        facts.first_time, facts.last_time = min(times), max(times)


def _read_links(facts: FileFacts, text: str, root: Path, folder: Path) -> None:
    for target in relative_links(text):
        facts.links += 1
        file = unquote(re.split("[?#]", target, maxsplit=1)[0])
        found = root / file.lstrip("/") if file.startswith("/") else folder / file
        if file and not _exists(found) and len(facts.broken_links) < MOST_BROKEN:
            facts.broken_links.append("".join(c if c.isprintable() else "?" for c in target))


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        # A name that no file can have.
        return False
