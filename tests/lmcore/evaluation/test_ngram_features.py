from sklearn.feature_extraction.text import CountVectorizer

from lmcore.config.evaluate import CharacterNgramsConfig
from lmcore.evaluation.ngram_features import count_characters


def test_n_grams_of_characters_are_counted_as_by_scikit_learn():
    texts = ["naïve cafés", "", "a", "aaaa aaaa", "数据 data\n\tx"]
    config = CharacterNgramsConfig(shortest=2, longest=4, max_characters=100)
    ours = count_characters(texts, config)
    theirs = CountVectorizer(analyzer="char", ngram_range=(2, 4), lowercase=False).fit_transform(
        # scikit-learn collapses white space.
        texts[:4]
    )
    for row in range(4):
        assert sorted(ours[row].data) == sorted(theirs[row].data)
    assert ours[4].sum() == 9 + 8 + 7
