"""What the report of pip-audit comes to. Pure."""

from __future__ import annotations

import json

OWN = "baton-workflows"


def judge(report: str, complaints: str = "") -> tuple[int, str]:
    """Exit status, and what to say. pip-audit itself is content with packages it never found."""
    try:
        found = json.loads(report)["dependencies"]
        known = [one for one in found if "skip_reason" not in one]
        unknown = [one for one in found if "skip_reason" in one and one["name"] != OWN]
        bad = [one for one in known if one["vulns"]]
    except (ValueError, KeyError, TypeError):
        last = (complaints.strip() or "it said nothing").splitlines()[-1]
        return 2, f"audit: not available: {last}"
    lines = [
        f"{one['name']} {one['version']}: {vuln['id']}, fixed in "
        f"{', '.join(vuln.get('fix_versions', ())) or 'no version'}"
        for one in bad
        for vuln in one["vulns"]
    ]
    if unknown:
        names = ", ".join(one["name"] for one in unknown[:5])
        more = ", …" if len(unknown) > 5 else ""
        lines.append(
            f"audit: not available for {len(unknown)} of {len(found)} packages ({names}{more}): "
            f"{unknown[0]['skip_reason']}"
        )
    if bad:
        return 1, "\n".join(lines)
    if unknown or not known:
        return 2, "\n".join(lines) or "audit: not available: nothing was looked up"
    return 0, f"audit: {len(known)} packages, none with a known vulnerability"
