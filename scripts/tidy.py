"""What source files must not call, catch or contain. Each rule names what to use in its place."""

import ast
import re
from collections.abc import Iterator
from pathlib import PurePosixPath

# Dotted name (or its beginning) -> the replacement.
CLOCK = "take the instant from ports.Clock"
ENTROPY = "take a random.Random handed in"
ENVIRONMENT = "take the environment handed in"
NETWORK = "only aws/ talks to the network: go through its ports"
BANNED_CALLS = {
    "time.time": CLOCK,
    "time.monotonic": CLOCK,
    "time.perf_counter": CLOCK,
    "time.clock_gettime": CLOCK,
    "time.sleep": CLOCK,
    "datetime.datetime.now": CLOCK,
    "datetime.datetime.utcnow": CLOCK,
    "datetime.datetime.today": CLOCK,
    "datetime.date.today": CLOCK,
    "random": ENTROPY,
    "secrets": ENTROPY,
    "uuid.uuid": ENTROPY,
    "os.urandom": ENTROPY,
    "os.environ": ENVIRONMENT,
    "os.getenv": ENVIRONMENT,
    "socket.gethostname": ENVIRONMENT,
}
NETWORK_CALLS = dict.fromkeys(
    (
        "socket.socket",
        "socket.create",
        "aiohttp",
        "http.client",
        "urllib.request",
        "asyncio.open_connection",
        "asyncio.start_server",
    ),
    NETWORK,
)
# The seeded generator's type is how the injected one is spoken of.
ALLOWED = {"random.Random"}

# Where nothing can be handed in yet: the program's edge, and the files that join the sides.
EDGE = ("src/dynamirror/cli/*.py", "src/dynamirror/engines/assemble*.py")
WIRE = ("src/dynamirror/aws/*.py",)

UNFINISHED = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|X" + r"XX)\b")
# Put together from halves, or this file would be the first to be caught.
MACHINE = re.compile(r"(?<![\w.~-])/(?:wo" + r"rk|ro" + r"ot|ho" + r"me)/")
REGISTRY = re.compile(
    r"py" + r"pi\.org|python" + r"hosted|repo1?\.mav" + r"en|registry\.np" + r"mjs|proxy\.gol" + r"ang"
    r"|index-" + r"url|extra-" + r"index|^\s*registry" + r"\s*=\s*[\"']?https?:"
)


def names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every use of an imported name, with its line, spelled in full: `from time import sleep` is time.sleep."""
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                root = alias.name.partition(".")[0]
                known[alias.asname or root] = alias.name if alias.asname else root
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                known[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                yield node.lineno, f"{node.module}.{alias.name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            dotted = ast.unparse(node)
            head, _, rest = dotted.partition(".")
            if head in known:
                yield node.lineno, f"{known[head]}.{rest}"


def banned(name: str, rules: dict[str, str]) -> str | None:
    """The replacement for `name` when a rule covers it. Importing a whole module is not yet a use."""
    if name in ALLOWED:
        return None
    for start, instead in rules.items():
        if name.startswith(start if "." in start else start + "."):
            return instead
    return None


def calls(source: str, path: str) -> list[str]:
    """One line for each use in `source` of what only the edge, or only aws/, may use."""
    rules: dict[str, str] = {}
    if not _in(path, EDGE):
        rules |= BANNED_CALLS
    if not _in(path, WIRE):
        rules |= NETWORK_CALLS
    found = {(line, name, banned(name, rules)) for line, name in names(ast.parse(source))}
    return [f"{path}:{line} {name}: {instead}" for line, name, instead in sorted(found, key=str) if instead]


def swallowed(source: str, path: str) -> list[str]:
    """One line for each bare or broad except with no raise inside."""
    handlers = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ExceptHandler)]
    return [
        f"{path}:{node.lineno} broad except that does not raise"
        for node in handlers
        if _broad(node.type) and not any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
    ]


def _broad(kind: ast.expr | None) -> bool:
    if isinstance(kind, ast.Tuple):
        return any(_broad(one) for one in kind.elts)
    return kind is None or (isinstance(kind, ast.Name) and kind.id in ("Exception", "BaseException"))


def _in(path: str, patterns: tuple[str, ...]) -> bool:
    return any(PurePosixPath(path).match(pattern) for pattern in patterns)


def words(text: str, path: str) -> list[str]:
    """Traces of one machine or one registry, which no file of the project carries."""
    return [
        f"{path}:{number} {found[0]}: {why}"
        for number, line in enumerate(text.splitlines(), 1)
        for pattern, why in ((MACHINE, "a path of one machine"), (REGISTRY, "a package registry's name"))
        if (found := pattern.search(line))
    ]


def unfinished(text: str, path: str) -> list[str]:
    """Notes to oneself that nobody owns."""
    return [
        f"{path}:{number} {found[0]}: do it, or open an issue"
        for number, line in enumerate(text.splitlines(), 1)
        if (found := UNFINISHED.search(line))
    ]
