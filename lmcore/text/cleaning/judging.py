"""interim"""
from dataclasses import dataclass
from lmcore.text.cleaning.config import CleanConfig
from lmcore.text.cleaning.filters import Drop, first_failure
from lmcore.text.cleaning.normalize import normalize


@dataclass(frozen=True, slots=True)
class Judgement:
    text: str
    drop: Drop | None
    changes: tuple[Drop, ...]
    language: str | None


def revise(text: str | None, config: CleanConfig) -> str | None:
    return text and ((normalize(text) if config.normalize else text) or None)


def judge(text: str, config: CleanConfig) -> Judgement:
    new = normalize(text) if config.normalize else text
    if not new or new.isspace():
        return Judgement("", Drop("empty_text"), (), None)
    drop = None if config.filters is None else first_failure(new, config.filters)
    changes = (Drop("normalized", float(len(text) - len(new))),) if new != text else ()
    return Judgement(new, drop, changes, None)
