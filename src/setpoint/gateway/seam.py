"""Where the answer of one call goes on with that of another: what both say is said once.

A model that is given its own text as the beginning of its answer goes on behind it, but for white space, which is not sent at the end of
such a text. One that is asked in words often begins with the last words again, or with the word it was in the middle of. So the first
text is held while it could still be a repetition of the end of what was shown; then the longest repetition is left out. A short one
counts only if it is of whole words, because the end of one word and the beginning of the next are often alike by chance.
"""

WINDOW_CHARS = 256
"""How far back a repetition may begin."""
SURE_CHARS = 16
"""A repetition of so many characters is no chance, wherever in a word it begins."""
WORD_CHARS_MIN = 3


def undecided(shown: str, new: str) -> bool:
    """Whether `new` may yet turn out to be the beginning of a repetition, or is nothing but white space so far."""
    return len(new) < WINDOW_CHARS and (new in shown[-WINDOW_CHARS:-1] or not new.strip())


def repeated(shown: str, new: str) -> int:
    """How many characters of `new` repeat the end of `shown`."""
    tail = shown[-WINDOW_CHARS:]
    for length in range(min(len(tail), len(new)), 0, -1):
        if tail.endswith(new[:length]) and _counts(tail, new[:length]):
            return length
    return repeated_space(shown, new)


def _counts(tail: str, same: str) -> bool:
    if len(same) >= SURE_CHARS:
        return True
    before = tail[: len(tail) - len(same)]
    at_word = not before or not before[-1].isalnum() or not same[0].isalnum()
    return at_word and len(same.strip()) >= WORD_CHARS_MIN


def repeated_space(shown: str, new: str) -> int:
    """How much of the white space that `new` begins with was shown already."""
    tail = shown[len(shown.rstrip()) :]
    lead = new[: len(new) - len(new.lstrip())]
    length = 0
    while length < min(len(tail), len(lead)) and tail[length] == lead[length]:
        length += 1
    return length
