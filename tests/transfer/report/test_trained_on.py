"""Lower bounds in the report: those of the trained model, as values and on the page."""

import json
from pathlib import Path

import pytest

from tagmill.shards import ConfigError, Corpus, Store
from tagmill.transfer.outcome.lower_bound import SeenImages
from tagmill.transfer.report.report_files import REPORT_JSON, REPORT_PAGE, write_report
from tagmill.transfer.report.trained_on import TrainedOn, bounds_of, mean_bounds, read_trained_on
from tests.browse.worded import key_of
from tests.transfer.outcome.test_lower_bound import paired
from tests.transfer.report.judged import FACTS, judged_on, named_set

TEST = named_set("")
KEYS = [each.key for each in TEST.examples]


def test_the_report_has_all_three_numbers_of_each_run_of_the_model(tmp_path: Path) -> None:
    judged, seen = judged_on(TEST), frozenset(KEYS[:10])
    bounds = bounds_of(TrainedOn("corpus", "default", "val", SeenImages(seen, seen, 12, 10)), judged)
    write_report(Store(str(tmp_path)), FACTS, judged, TEST, bounds=bounds)
    report = json.loads((tmp_path / REPORT_JSON).read_bytes())
    assert report["trained_on"]["seen_images"] == 10 and report["trained_on"]["pairs"] == 12
    assert report["lower_bounds"].keys() == {each.file for each in judged if each.random_seed is None}
    for each in report["outcomes"]:
        found = report["lower_bounds"].get(each["file"])
        if each["random_seed"] is not None:
            assert found is None
            continue
        right = sum(
            outcome.outcome.top[:10, 0] == outcome.outcome.truth[:10]
            for outcome in judged
            if outcome.file == each["file"]
        )
        assert found["seen"] == 10 and found["seen_correct"] == right.sum()
        assert found["lower"] == pytest.approx(each["top1"]["value"] - right.sum() / each["images"])
        assert found["deduplicated"] == pytest.approx((each["right"] - right.sum()) / (each["images"] - 10))
        ends = found["intervals"]
        assert ends["lower"][0] < found["lower"] < ends["lower"][1] and ends["kind"] in (
            "Wilson",
            "bootstrap over groups",
        )
        if ends["kind"] == "Wilson":
            assert ends["accuracy"] == [each["top1"]["low"], each["top1"]["high"]]
    page = (tmp_path / REPORT_PAGE).read_text()
    assert "Images seen in training" in page and "10 images have a near duplicate" in page
    means = mean_bounds(bounds, judged)
    pair = [bounds.of[each.digest].lower for each in judged[:2]]
    assert means["few-shot, 5 a class"][0] == pytest.approx(sum(pair) / 2) and set(means) == {
        "few-shot, 5 a class",
        "knn",
        "ours",
    }


def test_a_mean_leaves_out_runs_all_of_whose_images_were_seen() -> None:
    judged = judged_on(TEST)[3:4]
    bounds = bounds_of(TrainedOn("c", "v", "val", SeenImages(frozenset(KEYS), frozenset(KEYS), 1, 1)), judged)
    assert mean_bounds(bounds, judged) == {"knn": (0, None)}


def test_a_corpus_is_named_with_its_view_and_the_set(tmp_path: Path) -> None:
    corpus: Corpus = paired(tmp_path, ("a.jpg", key_of(0)))
    found = read_trained_on(corpus.store.url, "val")
    assert found.view == "default" and found.seen.names == {"a.jpg"}
    assert read_trained_on(f"{tmp_path}#default", "val").seen == found.seen
    with pytest.raises(ConfigError, match="--evaluation-set"):
        read_trained_on(str(tmp_path), None)
