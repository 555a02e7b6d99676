"""The filter decision about a single document: keep it, change it, or drop it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lmcore.config.clean import CleanConfig
from lmcore.text.cleaning.blocklist import blocked_content
from lmcore.text.cleaning.filters import first_failure
from lmcore.text.cleaning.language import language_of
from lmcore.text.cleaning.normalize import normalize
from lmcore.text.cleaning.personal_data import PersonalData, holds_personal_data, mask, masked_kinds
from lmcore.text.cleaning.reasons import Reason


@dataclass(frozen=True, slots=True)
class FilterDecision:
    """What the filters decided about a document.

    Attributes:
        text: the normalized and masked text.
        target: the same for the target; ``None`` if there is none, or if normalization leaves nothing of it.
        drop: why the document is dropped; ``None`` if it is kept.
        changes: what was changed in it.
        language: its language code.
    """

    text: str
    target: str | None
    drop: Reason | None
    changes: tuple[Reason, ...]
    language: str


def whole_text(text: str, target: str | None) -> str:
    """The text of a document followed by its target, if it has one."""
    return text if target is None else f"{text}\n\n{target}"


class DocumentFilter:
    """Decides about documents one at a time.

    Args:
        config: the cleaning rules.
        find_persons: yields the spans of person names in a text; needed if the rules include names.
    """

    def __init__(self, config: CleanConfig, find_persons: Callable[[str], Iterator[tuple[int, int]]] | None) -> None:
        self._config = config
        self._personal_data = None if config.personal_data is None else PersonalData(config.personal_data, find_persons)

    def decide(self, raw: str, raw_target: str | None = None) -> FilterDecision:
        """Normalize a document, apply the rules to it, and mask its personal data.

        The language is that of the text alone; all other rules read text and target together.
        """
        config = self._config
        text, target, changes = self._normalize(raw, raw_target)
        if not text or text.isspace():
            return FilterDecision("", target, Reason("empty_text"), changes, config.language)
        language, drop = language_of(text, config.language, config.identify_language)
        whole = whole_text(text, target)
        if drop is None and config.filters is not None:
            drop = first_failure(whole, language, config.filters)
        if drop is None and config.blocklist is not None:
            drop = blocked_content(whole, config.blocklist)
        if drop is None and self._personal_data is not None:
            findings = self._personal_data.find(text)
            findings_in_target = [] if target is None else self._personal_data.find(target)
            if self._personal_data.action == "drop":
                drop = holds_personal_data(findings + findings_in_target)
            else:
                text, target = mask(text, findings), target and mask(target, findings_in_target)
                changes += masked_kinds(findings + findings_in_target)
        return FilterDecision(text, target, drop, changes, language)

    def _normalize(self, text: str, target: str | None) -> tuple[str, str | None, tuple[Reason, ...]]:
        if not self._config.normalize:
            return text, target or None, ()
        normal, normal_target = normalize(text), target and normalize(target)
        n_removed = len(text) - len(normal) + len(target or "") - len(normal_target or "")
        is_changed = (normal, normal_target) != (text, target)
        changes = (Reason("normalized", float(n_removed), detail="score: characters fewer"),) if is_changed else ()
        return normal, normal_target or None, changes


def configured_person_finder(config: CleanConfig) -> Callable[[str], Iterator[tuple[int, int]]] | None:
    """A function that yields the spans of person names in a text; ``None`` if ``config`` does not include names."""
    if config.pipeline is None or config.personal_data is None or "person" not in config.personal_data.kinds:
        return None
    # spaCy takes seconds to import, and only the search for names needs it here.
    from lmcore.text.linguistics.pipelines import person_finder

    return person_finder(config.pipeline)
