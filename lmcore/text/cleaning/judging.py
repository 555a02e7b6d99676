"""What is to become of a document, by what it says itself: changed, dropped, or kept as it is."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lmcore.text.cleaning.blocklist import blocked_content
from lmcore.text.cleaning.config import CleanConfig
from lmcore.text.cleaning.filters import first_failure
from lmcore.text.cleaning.language import language_of
from lmcore.text.cleaning.normalize import normalize
from lmcore.text.cleaning.personal_data import PersonalData, holds_personal_data, mask, masked_kinds
from lmcore.text.cleaning.reasons import Reason


@dataclass(frozen=True, slots=True)
class Judgement:
    """What became of a text.

    Attributes:
        text: as it goes on.
        drop: why it does not go on, if so.
        changes: what was changed in it.
        language: as its code.
    """

    text: str
    drop: Reason | None
    changes: tuple[Reason, ...]
    language: str


class Judge:
    """Judges texts one by one.

    Args:
        config: the rules.
        find_persons: spans of names of persons in a text, where the rules ask for them.
    """

    def __init__(self, config: CleanConfig, find_persons: Callable[[str], Iterator[tuple[int, int]]] | None) -> None:
        self._config = config
        self._personal_data = None if config.personal_data is None else PersonalData(config.personal_data, find_persons)

    def judge(self, raw: str) -> Judgement:
        """Normalize a text, look for reasons to drop it, and mask the personal data in it."""
        config = self._config
        text, changes = raw, tuple[Reason, ...]()
        if config.normalize and (text := normalize(raw)) != raw:
            changes = (Reason("normalized", float(len(raw) - len(text)), detail="score: characters fewer"),)
        if not text or text.isspace():
            return Judgement("", Reason("empty_text"), changes, config.language)
        language, drop = language_of(text, config.language, config.identify_language)
        if drop is None and config.filters is not None:
            drop = first_failure(text, language, config.filters)
        if drop is None and config.blocklist is not None:
            drop = blocked_content(text, config.blocklist)
        if drop is None and self._personal_data is not None:
            findings = self._personal_data.find(text)
            if self._personal_data.action == "drop":
                drop = holds_personal_data(findings)
            else:
                text, changes = mask(text, findings), changes + masked_kinds(findings)
        return Judgement(text, drop, changes, language)

    def revise(self, target: str | None) -> str | None:
        """What a text is to become, normalized and masked as the text is; ``None`` where nothing is left."""
        if target is None:
            return None
        text = normalize(target) if self._config.normalize else target
        if self._personal_data is not None:
            text = mask(text, self._personal_data.find(text))
        return text or None
