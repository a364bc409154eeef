"""Cut-offs from counts are those of sorted images, however the counts are cut into batches."""

from collections import Counter

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from tagmill.studies.selection.cutoffs import BELOW_ALL, class_scores

COUNTS = pa.schema([("label", pa.int32()), ("score", pa.int32()), ("images", pa.int64())])


def batches(images: list[tuple[int, int]], size: int) -> list[pa.RecordBatch]:
    rows = sorted(Counter(images).items(), key=lambda item: (item[0][0], -item[0][1]))
    columns = [[label for (label, _), _ in rows], [score for (_, score), _ in rows], [count for _, count in rows]]
    return pa.table(columns, schema=COUNTS).to_batches(max_chunksize=size)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5))), st.integers(1, 9), st.integers(1, 4))
def test_as_many_images_as_asked_for_are_above_the_cutoff(images: list[tuple[int, int]], k: int, size: int) -> None:
    found = class_scores(batches(images, size), k)
    assert found.keys() == {label for label, _ in images}
    for label, each in found.items():
        scores = sorted((score for own, score in images if own == label), reverse=True)
        assert (each.images, each.best) == (len(scores), scores[0])
        above = [score for score in scores if score > each.cutoff]
        if each.divided:
            assert each.cutoff == each.lowest and 0 < each.room < scores.count(each.cutoff)
            assert above + [each.cutoff] * each.room == scores[:k]
        else:
            assert above == scores[:k]
        assert each.lowest == (scores[k - 1] if k <= len(scores) else None)


def test_a_class_with_too_few_images_has_no_cutoff() -> None:
    assert class_scores(batches([(4, 0), (4, 65536)], 1), 3)[4].cutoff == BELOW_ALL
    assert class_scores([], 3) == {}
