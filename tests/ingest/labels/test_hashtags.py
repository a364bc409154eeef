"""Cleaning is pure, total and idempotent on any text; captions give the tags that people see in them."""

import sys
import unicodedata

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.ingest.labels.hashtags import MAX_TOKEN_CHARS, SEVERAL_HASHTAGS, clean, hashtags_in, split_hashtags

any_text = st.text(st.characters(), max_size=80)  # surrogates too
# Characters that change under composition, casefolding or compatibility mapping, and often only beside each other.
tricky_text = st.text(
    st.sampled_from("ᄀ가ᅡᆨ각\u0301\u0323\u0308eİıßſﬁﬀΐς²①℃™ﷺﾊﾟ゙がか㎏ŉʼnǅ\u1e9e\u200d#_ aA\ud800\0"), max_size=20
)


tricky_marks = st.sampled_from("\u0301\ufe0e\ufe0f\u20e3\u200d\u200c")


def spelled_out(text: str) -> str:
    """The rule applied literally, one step after the other, to the whole text."""
    before = None
    while text != before:
        before = text
        text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.category(c).startswith("M"))
        text = unicodedata.normalize("NFKC", "".join(c for c in text.casefold() if c.isalnum()))
    return text if len(text) <= MAX_TOKEN_CHARS else ""


@pytest.mark.parametrize(
    ("tag", "token"),
    [
        ("#BrownBear", "brownbear"),
        ("brown_bear", "brownbear"),
        ("#Café", "cafe"),
        ("Cafe\u0301", "cafe"),
        ("#ÜBER-Straße", "uberstrasse"),
        ("#ﬁｓｈ２", "fish2"),
        ("#İstanbul", "istanbul"),
        ("#Кошка", "кошка"),
        ("#犬の散歩", "犬の散歩"),
        ("#강아지", "강아지"),
        ("#dog🐶❤️", "dog"),
        ("#", ""),
        ("", ""),
        ("🐶", ""),
        ("\ud83d\0", ""),
    ],
)
def test_clean_by_example(tag: str, token: str) -> None:
    assert clean(tag) == token


@given(any_text | tricky_text)
def test_clean_is_total_idempotent_and_follows_the_rule(text: str) -> None:
    token = clean(text)
    assert clean(token) == token
    assert token == spelled_out(text)
    assert token == "" or token.isalnum()
    assert len(token) <= MAX_TOKEN_CHARS


def test_every_code_point_of_the_first_planes() -> None:
    for code in range(0x20000):
        token = clean(chr(code))
        assert clean(token) == token == spelled_out(chr(code)), hex(code)


@given(any_text, any_text)
def test_case_hash_and_separators_do_not_matter(left: str, right: str) -> None:
    assert clean(f"#{left}_{right}") == clean(f"{left} - {right}")
    assert clean("#Brown" + left.casefold()) == clean("bROWN" + left)


@pytest.mark.parametrize(
    "text",
    [
        "a" * 1_000_000,
        "\u0300\u0323" * 500_000,  # marks in the order that costs a sort quadratic time
        "\ufdfa" * 300_000,  # one character that becomes eighteen
        "\ud800" * 1_000_000,
        chr(sys.maxunicode) * 1_000_000,
    ],
)
def test_a_megabyte_of_text_gives_no_token(text: str) -> None:
    assert clean(text) == ""


def test_the_length_bound_is_on_the_token_and_not_on_the_tag() -> None:
    assert clean("# " * 1000 + "dog") == "dog"
    assert clean("d" * MAX_TOKEN_CHARS) == "d" * MAX_TOKEN_CHARS
    assert clean("d" * (MAX_TOKEN_CHARS + 1)) == ""


@pytest.mark.parametrize(
    ("caption", "tags"),
    [
        ("Our walk #BrownBear #Forest, #river!", ["BrownBear", "Forest", "river"]),
        ("#dog#cat ##bird", ["dog", "cat", "bird"]),
        ("＃犬 #brown_bear #الجمل #हिन्दी", ["犬", "brown_bear", "الجمل", "हिन्दी"]),
        ("#dog🐶 #cat.", ["dog", "cat"]),
        ("#dog #dog", ["dog", "dog"]),
        ("we're #1, see http://x.org/page#part and x.org/#part &#39; C# abc#def#ghi", []),
        ("# dog #", []),
        ("#4x4 #cafe\u0301", ["4x4", "cafe\u0301"]),
        ("", []),
    ],
)
def test_hashtags_of_a_caption(caption: str, tags: list[str]) -> None:
    assert hashtags_in(caption) == tags


@pytest.mark.parametrize(
    ("caption", "tags"),
    [
        ("I love it ❤\ufe0f#dog", ["dog"]),
        ("☀\ufe0f#beach☀\ufe0e#sea", ["beach", "sea"]),
        ("1\ufe0f\u20e3#cat", ["cat"]),
        ("👩\u200d❤\ufe0f\u200d👩#love ❤\u200d#heart", ["love", "heart"]),
        ("👍🏽#dog🐶#cat", ["dog", "cat"]),
        ("ℹ\ufe0f#info", ["info"]),  # a letter of Unicode, with U+FE0F an emoji
        ("#\ufe0f\u20e3cat #\u20e3 #dog", ["dog"]),  # a key cap of the hash sign itself
        ("cafe\u0301#x 漢\U000e0100#x हि#x a\u200d#x a_#x", []),  # marks and joiners of a word
    ],
)
def test_an_emoji_before_a_hash_is_no_word(caption: str, tags: list[str]) -> None:
    assert hashtags_in(caption) == tags


@given(st.text(tricky_marks, max_size=6), st.sampled_from("☀❤🐶"), st.text(tricky_marks, max_size=6))
def test_marks_of_an_emoji_do_not_hide_a_hashtag(before: str, emoji: str, marks: str) -> None:
    assert hashtags_in(f"{before}{emoji}{marks}#dog") == ["dog"]


@given(any_text | tricky_text)
def test_hashtags_in_is_total_and_finds_parts_of_the_caption(caption: str) -> None:
    assert all(f"#{tag}" in caption.replace("＃", "#").replace("﹟", "#") for tag in hashtags_in(caption))


@given(
    st.lists(st.text("abcz09_", min_size=1).filter(lambda tag: any(map(str.isalpha, tag)))),
    st.sampled_from([" ", "", ", ", "\n"]),
)
def test_hashtags_round_trip(tags: list[str], between: str) -> None:
    assert hashtags_in(between.join(f"#{tag}" for tag in tags)) == tags


@pytest.mark.parametrize(
    ("tag", "tags"),
    [
        ("#cat #dog", ["cat", "dog"]),
        ("#cat#dog", ["cat", "dog"]),
        ("🐶#brown bear\n＃dog❤\ufe0f", ["brown bear", "dog❤\ufe0f"]),
        ("#猫##狗#", ["猫", "狗"]),  # as on Weibo
        # One tag, or none of ours to take apart.
        *[
            (tag, [tag])
            for tag in ("#cat", "##cat", "#cat#", "#C#", "C# and F#", "cat #dog #fox", "#\ufe0f\u20e3 #cat", "", "#")
        ],
    ],
)
def test_a_tag_that_is_several_hashtags(tag: str, tags: list[str]) -> None:
    assert split_hashtags(tag) == tags
    if tags != [tag]:
        assert pc.match_substring_regex(pa.array([tag]), SEVERAL_HASHTAGS)[0].as_py()


@given(any_text)
def test_tags_outside_the_pattern_are_one_tag(text: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    if not pc.match_substring_regex(pa.array([text]), SEVERAL_HASHTAGS)[0].as_py():
        assert split_hashtags(text) == [text]
