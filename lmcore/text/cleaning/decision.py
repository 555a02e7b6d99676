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
from lmcore.text.documents.messages import from_json, with_contents


@dataclass(frozen=True, slots=True)
class FilterDecision:
    """What the filters decided about a document.

    Attributes:
        text: the normalized and masked text.
        target: the same for the target; ``None`` if there is none, or if normalization leaves nothing of it.
        rejected: the same for the worse answer.
        messages: the same for every message of a conversation, as JSON; ``None`` if nothing is left of one of them.
        drop: why the document is dropped; ``None`` if it is kept.
        changes: what was changed in it.
        language: its language code.
    """

    text: str
    target: str | None
    drop: Reason | None
    changes: tuple[Reason, ...]
    language: str
    rejected: str | None = None
    messages: str | None = None


def whole_text(text: str, target: str | None, rejected: str | None = None) -> str:
    """The text of a document followed by its target and its rejected answer, if it has them.

    The messages of a conversation are not added: the text already has their content.
    """
    return "\n\n".join([text, *(answer for answer in (target, rejected) if answer is not None)])


class DocumentFilter:
    """Decides about documents one at a time.

    Args:
        config: the cleaning rules.
        find_persons: yields the spans of person names in a text; needed if the rules include names.
    """

    def __init__(self, config: CleanConfig, find_persons: Callable[[str], Iterator[tuple[int, int]]] | None) -> None:
        self._config = config
        self._personal_data = None if config.personal_data is None else PersonalData(config.personal_data, find_persons)

    def decide(
        self,
        raw: str,
        raw_target: str | None = None,
        raw_rejected: str | None = None,
        raw_messages: str | None = None,
    ) -> FilterDecision:
        """Normalize a document, apply the rules to it, and mask its personal data.

        The language is that of the text alone; all other rules read text, target and rejected answer together.
        """
        config = self._config
        raw_contents = (raw, raw_target, raw_rejected)
        (text, target, rejected), changes = self._normalize(raw_contents)
        messages = raw_messages and self._normalized_messages(raw_messages)
        if not text or text.isspace():
            return FilterDecision("", target, Reason("empty_text"), changes, config.language)
        language, drop = language_of(text, config.language, config.identify_language)
        whole = whole_text(text, target, rejected)
        if drop is None and config.filters is not None:
            drop = first_failure(whole, language, config.filters)
        if drop is None and config.blocklist is not None:
            drop = blocked_content(whole, config.blocklist)
        if drop is None and self._personal_data is not None:
            find = self._personal_data.find
            findings, *in_answers = (find(content) if content else [] for content in (text, target, rejected))
            all_findings = sum(in_answers, findings)
            if self._personal_data.action == "drop":
                drop = holds_personal_data(all_findings)
            else:
                text = mask(text, findings)
                target, rejected = (
                    content and mask(content, found)
                    for content, found in zip((target, rejected), in_answers, strict=True)
                )
                messages = messages and with_contents(messages, self._personal_data.masked)
                changes += masked_kinds(all_findings)
        return FilterDecision(text, target, drop, changes, language, rejected, messages)

    def _normalize(
        self, contents: tuple[str, str | None, str | None]
    ) -> tuple[tuple[str, str | None, str | None], tuple[Reason, ...]]:
        text, target, rejected = contents
        if not self._config.normalize:
            return (text, target or None, rejected or None), ()
        normal = (normalize(text), target and normalize(target), rejected and normalize(rejected))
        n_removed = sum(len(content or "") for content in contents) - sum(len(content or "") for content in normal)
        changes = (Reason("normalized", float(n_removed), detail="score: characters fewer"),)
        return (normal[0], normal[1] or None, normal[2] or None), changes if normal != contents else ()

    def _normalized_messages(self, messages: str) -> str | None:
        normal = with_contents(messages, normalize) if self._config.normalize else messages
        return normal if all(content.strip() for _, content in from_json(normal)) else None


def configured_person_finder(config: CleanConfig) -> Callable[[str], Iterator[tuple[int, int]]] | None:
    """A function that yields the spans of person names in a text; ``None`` if ``config`` does not include names."""
    if config.pipeline is None or config.personal_data is None or "person" not in config.personal_data.kinds:
        return None
    # spaCy takes seconds to import, and only the search for names needs it here.
    from lmcore.text.linguistics.pipelines import person_finder

    return person_finder(config.pipeline)
