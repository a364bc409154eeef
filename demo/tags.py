"""Hashtags as people write them: synonyms, plurals, CamelCase, with and without '#', and much chatter."""

from __future__ import annotations

import numpy as np

from tagmill.demo.concepts import CONCEPTS, Concept

Rng = np.random.Generator

CHATTER = (
    "instagood", "tbt", "photooftheday", "nofilter", "picoftheday", "instadaily", "igers", "follow4follow", "l4l",
    "likeforlike", "vscocam", "webstagram", "bestoftheday", "2024", "2023", "iphoneonly", "throwbackthursday",
    "mondaymotivation", "instamood", "tagsforlikes", "nofilterneeded", "wanderlusting", "potd", "ootd", "amazingview",
    "justforfun", "sundayfunday", "lifeisgood", "mycamera", "shotoniphone", "d750", "50mm", "bnw", "instapic",
    "followme", "likes4likes", "photogram", "happyme", "beautifulday", "tgif",
)  # fmt: skip
"""Tags without meaning; none is a WordNet noun once squashed. Most frequent first."""

FOREIGN = ("❤️", "😍", "✨🌈", "写真", "日本", "fotoğraf", "день", "été2024", "😂😂", "사진", "schönertag", "📷")
"""Chatter outside ASCII."""

NOUNS = {"love": 0.03, "summer": 0.025, "nature": 0.02, "art": 0.02, "travel": 0.015, "morning": 0.01, "weekend": 0.01}
"""Chatter that *is* a WordNet noun and so becomes a label without a matching image: share of images of each."""

NOISE = 0.02
"""Share of images with a tag of a second concept that is not in the image."""

WORDLESS = 0.015
"""Share of images whose tags do not name what they show."""

_CHATTER_ODDS = np.array([1 / (place + 4) for place in range(len(CHATTER))])
_CHATTER_ODDS /= _CHATTER_ODDS.sum()


def hashtags(rng: Rng, concept: Concept) -> list[str]:
    """Draws the tags of one image of a concept: four on average, in no order, possibly with repeats in other spellings."""
    tags: list[str] = []
    if rng.random() >= WORDLESS:
        tags.append(_named(rng, concept))
        if rng.random() < 0.4:
            tags.append(_named(rng, concept))
    if rng.random() < NOISE:
        others = [other for other in CONCEPTS if other is not concept]
        tags.append(_named(rng, others[int(rng.integers(0, len(others)))]))
    tags += [_styled(rng, noun) for noun, share in NOUNS.items() if rng.random() < share]
    if rng.random() < 0.06:
        tags.append(FOREIGN[int(rng.integers(0, len(FOREIGN)))])
    count = min(int(rng.poisson(2.4)), 12) if tags else int(rng.integers(1, 5))
    tags += [_styled(rng, str(tag)) for tag in rng.choice(CHATTER, count, replace=False, p=_CHATTER_ODDS)]
    return [("#" if rng.random() < 0.6 else "") + tags[place] for place in rng.permutation(len(tags))]


def _named(rng: Rng, concept: Concept) -> str:
    """Writes a concept's word or plural in one of the spellings of the web."""
    draw = rng.random()
    if draw < 0.68 or (draw < 0.8 and len(concept.words) == 1):
        phrase = concept.words[0]
    elif draw < 0.8:
        phrase = concept.words[int(rng.integers(1, len(concept.words)))]
    else:
        phrase = concept.plurals[int(rng.integers(0, len(concept.plurals)))]
    words = phrase.split(" ")
    style = rng.random()
    if style < 0.72:
        return "".join(words).lower()
    if style < 0.88:
        return "".join(word.capitalize() for word in words)
    if style < 0.93:
        return "".join(words).upper()
    if style < 0.97:
        return "_".join(words).lower()
    if style < 0.985:
        return "".join(words).lower() + str(rng.choice(["❤", "😍", "✨", "🔥"]))
    return "".join(chr(ord(letter) + 0xFEE0) for letter in "".join(words).lower())  # fullwidth forms, U+FF41 on


def _styled(rng: Rng, tag: str) -> str:
    return tag.capitalize() if rng.random() < 0.12 else tag
