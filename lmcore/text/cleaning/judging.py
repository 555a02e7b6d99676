"""interim"""

from dataclasses import dataclass

from lmcore.text.cleaning.config import CleanConfig
from lmcore.text.cleaning.filters import first_failure
from lmcore.text.cleaning.normalize import normalize
from lmcore.text.cleaning.reasons import Reason


@dataclass(frozen=True, slots=True)
class Judgement:
    text: str
    drop: Reason | None
    changes: tuple[Reason, ...]
    language: str | None


def revise(text: str | None, config: CleanConfig) -> str | None:
    return text and ((normalize(text) if config.normalize else text) or None)


def judge(text: str, config: CleanConfig) -> Judgement:
    new = normalize(text) if config.normalize else text
    if not new or new.isspace():
        return Judgement("", Reason("empty_text"), (), None)
    drop = None if config.filters is None else first_failure(new, config.filters)
    changes = (Reason("normalized", float(len(text) - len(new))),) if new != text else ()
    return Judgement(new, drop, changes, None)
