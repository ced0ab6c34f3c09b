"""How far two spellings are apart: which word was meant."""


def distance(one: str, other: str) -> int:
    """How many letters were left out, put in, taken for another, or changed places with their neighbour (Damerau and
    Levenshtein, each place touched once)."""
    before: list[int] = []
    last = list(range(len(other) + 1))
    for row, letter in enumerate(one, 1):
        now = [row]
        for column, theirs in enumerate(other, 1):
            least = min(last[column] + 1, now[-1] + 1, last[column - 1] + (letter != theirs))
            if row > 1 and column > 1 and one[row - 2 : row] == other[column - 1] + other[column - 2]:
                least = min(least, before[column - 2] + 1)
            now.append(least)
        before, last = last, now
    return last[-1]
