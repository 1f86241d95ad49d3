"""Policies for URLs of documents in a release: what is left of user info and query.

`keep` writes them as they are; `clean` removes user info, and parameters that name credentials or personal data or
have an
e-mail address as value; `no_query` removes user info, query and fragment.
"""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

POLICIES = ("keep", "clean", "no_query")

_USER = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*://)[^/?#@\s]*@")
_PERSONAL = re.compile(
    r"(?:[\w-]*(?:e-?mail|phone|mobile|passw(?:or)?d|pwd|secret|api_?key|token|signature|session|sessid|pass"
    r"port|user_?name)"
    r"|mail|tel|sig|sid|uin|qq|wechat|user|uid|key|x-(?:amz|goog)-[\w-]+)$",
    re.I,
)
_ADDRESS = re.compile(r"[\w.+-]+(?:@|%40)[\w-]+\.\w", re.I)


def clean_url(url: str, policy: str) -> str:
    """Apply a policy to one URL."""
    if policy == "keep":
        return url
    url = _USER.sub(r"\1", url)
    if policy == "no_query":
        return re.split(r"[?#]", url, maxsplit=1)[0]
    base, mark, rest = url.partition("?")
    if not mark:
        return url
    query, hash_mark, fragment = rest.partition("#")
    kept = [part for part in query.split("&") if not _is_personal(part)]
    query = "?" + "&".join(kept) if kept else ""
    return base + query + (hash_mark + fragment if not _ADDRESS.search(fragment) else "")


def _is_personal(part: str) -> bool:
    name, _, value = part.partition("=")
    return _PERSONAL.match(name) is not None or _ADDRESS.search(value) is not None


def clean_urls(urls: pa.Array | pa.ChunkedArray, policy: str) -> pa.Array | pa.ChunkedArray:
    """Apply a policy to a column of URLs, string (n_rows,); null stays null. URLs without `@` or a query are not
    touched."""
    if policy == "keep":
        return urls
    touched = pc.fill_null(pc.match_substring_regex(urls, "[@?#]"), False)
    if not pc.any(touched).as_py():
        return urls
    values = [url and clean_url(url, policy) for url in urls.to_pylist()]
    return pa.array(values, urls.type)
