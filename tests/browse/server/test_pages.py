"""The pages over real corpora: find, look, go on; words of the web stay words; what is broken is named."""

import json
import re
from itertools import count
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from tagmill.browse.search.label_index import write_index
from tagmill.browse.search.snapshot import CorpusWatch
from tagmill.shards.purge import record
from tagmill.shards.takedown import SAMPLE, Row
from tagmill.shards.vocabulary import Label, Vocabulary
from tests.browse.hostile import corpus_of
from tests.browse.server.visitor import Page, visit
from tests.pipeline.corpora import Made
from tests.pipeline.corpora import make_corpus as make_pictures
from tests.shards.corpora import make_corpus, sample


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """100 samples of JPEGs in three shards, 10 of them held out."""
    return make_pictures(tmp_path_factory.mktemp("corpus") / "corpus", [40, 50], holdout=[10])


@pytest.fixture(scope="module")
def client(made: Made) -> TestClient:
    return visit(made.url)


def get(client: TestClient, path: str, status: int = 200) -> Page:
    answer = client.get(path)
    assert answer.status_code == status, answer.text
    return Page(answer.text)


def samples_on(page: Page) -> list[str]:
    return [link for link in page.loads if link.startswith("/sample/")]


def test_from_the_first_page_to_a_sample_and_its_duplicates(client: TestClient) -> None:
    home = get(client, "/")
    assert "90 2" in home.text and "10 1" in home.text
    labels = get(client, home.links["labels"])
    assert "7 labels" in labels.text
    grid = get(client, labels.links["label3"])
    first = get(client, samples_on(grid)[0])
    assert "label3" in first.links and "shards/000000.tar" in first.text
    nothing = get(client, first.links["Duplicates of it"])
    assert "No rows." in nothing.text


def test_the_links_of_grids_lead_through_all_samples_once(client: TestClient, made: Made) -> None:
    page, found, pages = get(client, "/find?by=all"), list[str](), 1
    found += samples_on(page)
    while "More" in page.links:
        page, pages = get(client, page.links["More"]), pages + 1
        found += samples_on(page)
    assert pages == 3 and len(found) == len(set(found)) == 100 and "searched 100 %" in page.text
    assert found[-1] == "/sample/holdout-000000/9"


def test_a_label_finds_exactly_the_samples_that_have_it(client: TestClient, made: Made) -> None:
    have = {number for number, labels in enumerate(made.labels.tolist()) if 2 in labels}
    page = get(client, "/find?by=label&q=label2")
    found = samples_on(page)
    while "More" in page.links:
        page = get(client, page.links["More"])
        found += samples_on(page)
    starts = dict(zip((entry.name for entry in made.entries), made.starts.tolist()))
    places = [re.fullmatch(r"/sample/([^/]+)/(\d+)", link) for link in found]
    assert {starts[place[1]] + int(place[2]) for place in places if place} == have and len(found) == len(have)


def test_a_search_that_takes_long_says_how_far_it_came_and_goes_on(made: Made) -> None:
    ticks = count(step=3)
    client = visit(made.url, clock=lambda: float(next(ticks)))
    page, steps = get(client, "/find?by=key&q=" + "00" * 16), 1
    assert "searched 90 %" in page.text and "Nothing found yet." in page.text
    while "Go on searching" in page.links:
        page, steps = get(client, page.links["Go on searching"]), steps + 1
    assert steps == 2 and "Nothing more." in page.text and "searched 100 %" in page.text


def test_with_an_index_the_numbers_are_exact(tmp_path: Path) -> None:
    corpus = make_corpus(str(tmp_path / "corpus"), tmp_path / "spool")
    client = visit(corpus.store.url)
    assert "search index" not in get(client, "/find?by=label&q=oak").text
    write_index(CorpusWatch(corpus.store.url, None).now(), "default")
    assert "4 samples in 3 shards, by the view's search index." in get(client, "/find?by=label&q=oak").text
    assert "6 to 11 samples in 3 shards" in get(client, "/find?by=synset&q=n00015388").text
    (index,) = Path(corpus.store.url, "views").rglob("search.parquet")
    index.write_bytes(b"PAR1")
    broken = get(client, "/find?by=label&q=oak")
    assert "--index" in broken.text and len(samples_on(broken)) == 4


def test_a_synset_shows_its_neighbours_and_the_labels_below(tmp_path: Path) -> None:
    client = visit(make_corpus(str(tmp_path / "corpus"), tmp_path / "spool").store.url)
    animal = get(client, "/synset/n00015388")
    assert "bear 4 images" in animal.text and "partly" in animal.text and "oak 1 images" not in animal.text
    bear = get(client, "/synset/n02131653")
    assert "carnivore" in bear.links and any("brown bear" in text for text in bear.links)
    grid = get(client, bear.links["Images with labels of this synset and all below it"])
    assert len(samples_on(grid)) == 6 and "1 labels" in grid.text
    assert "no noun synset" in get(client, "/synset/n99999999", 404).text


def test_labels_are_filtered_by_any_of_their_words(tmp_path: Path) -> None:
    client = visit(make_corpus(str(tmp_path / "corpus"), tmp_path / "spool").store.url)
    for words, names in [("tree", {"oak"}), ("BEARS", {"bear"}), ("n0201", {"crane"}), ("", {"bear", "crane", "oak"})]:
        links = get(client, f"/labels?q={words}").links
        assert names == {"bear", "crane", "oak"} & set(links)
    assert "letters" in get(client, "/labels?q=!", 400).text
    assert "no number" in get(client, "/labels?from=-1", 400).text


def test_a_sample_that_is_taken_down_is_on_no_page_at_the_next_request(tmp_path: Path) -> None:
    corpus = make_corpus(str(tmp_path / "corpus"), tmp_path / "spool")
    client = visit(corpus.store.url)
    assert client.get("/sample/000000/2").status_code == 200
    gone = sample(2).record
    record(corpus, [Row(kind=SAMPLE, at="now", shard="000000", ordinal=2, value=gone.key, by="key")])
    for path in ("/sample/000000/2", "/picture/000000/2", f"/rejects?duplicates_of={gone.key}"):
        answer = client.get(path)
        assert answer.status_code == 410 and "taken down" in answer.text and "tag2" not in answer.text
    for query in ("by=all", "by=label&q=oak", "by=tag&q=tag2", f"by=key&q={gone.key}", "by=host&q=127.0.0.1"):
        assert "/000000/2" not in client.get(f"/find?{query}").text
    assert "1 samples" in get(client, "/").text


def test_a_takedown_is_seen_when_what_is_known_is_too_old(tmp_path: Path) -> None:
    corpus = make_corpus(str(tmp_path / "corpus"), tmp_path / "spool")
    client = visit(corpus.store.url, max_age=1.0)  # of a clock that advances by one at each request
    assert client.get("/sample/000000/2").status_code == 200
    record(corpus, [Row(kind=SAMPLE, at="now", shard="000000", ordinal=2, value=sample(2).record.key, by="key")])
    assert [client.get("/sample/000000/2").status_code for _ in range(3)] == [200, 410, 410]


def test_without_its_takedown_list_nothing_of_a_corpus_is_shown(tmp_path: Path) -> None:
    corpus = make_corpus(str(tmp_path / "corpus"), tmp_path / "spool")
    record(corpus, [Row(kind=SAMPLE, at="now", shard="000000", ordinal=2, value=sample(2).record.key, by="key")])
    (listed,) = (tmp_path / "corpus" / "manifests").glob("takedown-*")
    listed.unlink()
    client = visit(corpus.store.url)
    for path in ("/", "/find?by=all", "/sample/000000/0", "/picture/000000/0"):
        answer = client.get(path)
        assert answer.status_code == 502 and "missing from the corpus" in answer.text and "takedown-" in answer.text


@pytest.mark.parametrize("content", ["{}", "[]", "no json", '{"format": "0"}', '{"format": "1"}'])
def test_another_format_is_said_plainly(tmp_path: Path, content: str) -> None:
    (tmp_path / "corpus.json").write_text(content)
    page = get(visit(str(tmp_path)), "/", 404)
    assert "corpus format" in page.text or "not a corpus file" in page.text


def test_of_a_corpus_that_is_half_there_the_rest_is_shown(tmp_path: Path) -> None:
    corpus = make_corpus(str(tmp_path / "corpus"), tmp_path / "spool")
    folder, view = tmp_path / "corpus", Path(corpus.file.views["default"].path).parent
    client = visit(corpus.store.url)
    (folder / "shards" / "000000.tar").unlink()
    (folder / view / "000001.labels.npy").write_bytes(b"")
    (folder / "report.json").write_text("{")
    assert "report.json is altered" in get(client, "/").text
    lost = get(client, "/sample/000000/0")
    assert "missing from the corpus" in lost.text and "bear" in lost.links
    assert "missing" in get(client, "/picture/000000/0", 502).text
    grid = get(client, "/find?by=label&q=oak")
    assert "1 parts of shards could not be read" in grid.text and "000001.labels.npy" in grid.text
    assert samples_on(grid) == ["/sample/000000/2", "/sample/holdout-000000/2"]
    (folder / view / "view.json").unlink()
    client = visit(corpus.store.url)
    home = get(client, "/")
    assert "view.json" in home.text and "holdout" in home.text
    assert "bear" in get(client, "/sample/000001/0").text
    for path in (folder / "manifests").glob("shards-*"):
        path.write_bytes(b"x")
    broken = get(visit(corpus.store.url), "/")
    assert "altered" in broken.text and "samples 15" in broken.text


@pytest.mark.parametrize("path", ["/none", "/sample/000000/9999", "/sample/x/0", "/static/../app.py", "/static/app.py"])
def test_an_address_without_a_page_is_not_found(client: TestClient, path: str) -> None:
    assert "This cannot be shown" in get(client, path, 404).text


@settings(max_examples=40)
@given(path=st.text(alphabet=st.characters(codec="utf-8"), max_size=60))
@example("/sample/..%2f..%2fcorpus.json/0")
@example("/picture/%2e%2e%2f%2e%2e%2fcorpus/0")
@example("/sample/000000/٣")
@example("/find?by=all&from=9-9")
@example("/find?by=all&view=%00")
def test_no_address_is_an_internal_error(client: TestClient, path: str) -> None:
    answer = client.get("/" + quote(path.lstrip("/"), safe="/%?=&"))
    assert answer.status_code in (200, 400, 404)


HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "javascript:alert(1)",
    "{{ 7 * 7 }}",
    "\u202egpj.exe\u2066",
    "\x1b]0;title\x07\x00\r\n",
    "a" * (1 << 20),
)


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(codec="utf-8"), min_size=1, max_size=300))
@example("'\"><svg onload=alert(1)>")
def test_words_of_the_web_are_inert_on_every_page(tmp_path: Path, text: str) -> None:
    label = Label(0, text, ("n02131653",), (text,), {text: 3}, 3)
    others = (Label(1, "<b>x</b>", ("n02012849",), ()), Label(2, "oak", ("n12268246",), ()))
    url = corpus_of(
        tmp_path,
        Vocabulary((label, *others)),
        name=text,
        tags=(text, *HOSTILE),
        url=f"http://example.org/{text}",
        extra={"caption": text + HOSTILE[0], "score": 1.0},
    )
    few = {"why": text, "remedy": HOSTILE[1]}
    Path(url, "report.json").write_text(json.dumps({"rejects": {text: 1, "timeout": text}, "few_labels": few}))
    client = visit(url)
    for path in (
        "/",
        "/labels",
        "/find?by=all",
        "/find?by=tag&q=script",
        "/sample/000000/0",
        "/synset/n02131653",
        "/rejects",
    ):
        answer = client.get(path)
        assert answer.status_code in (200, 400) and len(answer.content) < 200_000
        page = Page(answer.text)
        assert not page.suspect
        assert all(link.startswith("/") and not link.startswith("//") for link in page.loads)
        assert not [char for char in answer.text if not char.isprintable() and char not in "\n"]
    shown = client.get("/sample/000000/0").text
    assert "&lt;script&gt;alert(1)" in shown and "\\u202e" in shown
