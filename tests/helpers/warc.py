"""WARC records of HTML pages."""

from __future__ import annotations

HEAD = "<title>t</title>"
ZH = "三月的风吹过湖面，岸边的柳树刚刚发芽。他把信折好放进口袋，沿着小路慢慢走回村子。"
ZH_HANT = "三月的風吹過湖面，岸邊的柳樹剛剛發芽。他把信摺好放進口袋，沿著小路慢慢走回村子。"


def warc(payload: bytes, kind: str = "response", n: int = 0, extra: str = "") -> bytes:
    """A WARC record."""
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: http://例子.cn/{n}\r\n"
        f"WARC-Date: 2024-05-18T01:58:10Z\r\nWARC-Record-ID: <urn:uuid:{n}>\r\n{extra}"
        f"Content-Type: application/http; msgtype={kind}\r\nContent-Length: {len(payload)}\r\n\r\n"
    )
    return head.encode() + payload + b"\r\n\r\n"


def response(
    body: bytes | str,
    n: int = 0,
    kind: str = "text/html",
    status: str = "200 OK",
    head: str = "",
    extra: str = "",
) -> bytes:
    """A WARC record of an HTTP response."""
    body = body.encode() if isinstance(body, str) else body
    http = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{head}\r\n".encode()
    return warc(http + body, "response", n, extra)


def page(text: str, head: str = HEAD) -> str:
    """An HTML page of one paragraph."""
    return f"<html><head>{head}</head><body><main><p>{text}</p></main><script>evil()</script></body></html>"
