"""The pages that --http serves, as a scraper sees them."""

from http.client import HTTPConnection


def page_of(port: int, page: str, timeout_s: float = 10) -> tuple[int, str]:
    """Status and body; 0 where nobody answers."""
    connection = HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        connection.request("GET", page)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except (ConnectionError, TimeoutError):
        return 0, ""
    finally:
        connection.close()
