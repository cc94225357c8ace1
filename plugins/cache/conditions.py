"""The client's own conditions, judged by a stored answer (RFC 9111, 4.3.2; RFC 9110, 13)."""

from __future__ import annotations

import re

from plugins.cache.dates import parse_date
from plugins.cache.entry import Entry
from plugins.cache.fields import Values, by_name

_TAG = re.compile(rb'(?:W/)?("[^"]*")')


def holds(values: Values, entry: Entry) -> bool:
    """Tell whether what the client has is what is stored, so that a 304 is enough.

    Tags are compared weakly. `If-Modified-Since` counts only where there is no `If-None-Match`; an
    answer without Last-Modified is as old as its Date.
    """
    tags = values.get(b"if-none-match")
    if tags is not None:
        if tags.strip() == b"*":
            return True
        return entry.etag is not None and entry.etag.removeprefix(b"W/") in _TAG.findall(tags)
    since = parse_date(values.get(b"if-modified-since", b""))
    if since is None:
        return False
    modified = entry.modified or by_name(entry.fields).get(b"date", b"")
    changed = parse_date(modified)
    return changed is not None and changed <= since
