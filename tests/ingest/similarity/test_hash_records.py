"""Lists as exchanges of hashes give them: what is a hash of an image, what is left out and counted, and what is refused."""

import json
import logging
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.ingest.filters.blocklist import Blocklist, read_blocklists
from tagmill.ingest.similarity.hash_records import hashes_of, is_json, json_lines, kind_of_signal
from tagmill.ingest.similarity.hex_hashes import HashReader
from tagmill.shards.errors import ConfigError

PDQ, SHA, MD5 = "f8" * 32, "0a" * 32, "c3" * 16
SIGNALS = f"""signal_type,signal_str,collab,category,tags
pdq,{PDQ},Sample Signals,INVESTIGATION_SEED,
video_md5,{MD5},Sample Signals,INVESTIGATION_SEED,
url,"https://example.org/a,b",Sample Signals,INVESTIGATION_SEED,
raw_text,"some, ""quoted"" text",Sample Signals,INVESTIGATION_SEED,bully
HASH_MD5,{MD5.upper()},Other,MALICIOUS,
"""
STOP_NCII = {
    "count": 4,
    "hashRecords": [
        {"signalType": "ImagePDQ", "hashValue": PDQ, "hashStatus": "Active", "caseNumbers": {}},
        {"signalType": "ImagePDQ", "hashValue": "a" * 64, "hashStatus": "Withdrawn"},
        {"signalType": "VideoMD5", "hashValue": MD5, "hashStatus": "Active"},
        {"signalType": "ImagePDQ", "hashValue": "b" * 64, "hashStatus": "Deleted"},
    ],
}
TERRORISM = [
    {"hash_digest": MD5, "algorithm": "MD5", "ideology": "x", "file_type": "jpg", "deleted": False, "id": 1},
    {"hash_digest": "d" * 32, "algorithm": "MD5", "file_type": "jpg", "deleted": True, "id": 2},
    {"hash_digest": PDQ, "algorithm": "PDQ", "file_type": "jpg", "deleted": False, "id": 3},
]
NCMEC = [
    {"id": "1", "entry_type": "image", "fingerprints": {"md5": MD5, "sha1": "e" * 40, "pdna": "1,2,3", "pdq": PDQ}},
    {"id": "2", "entry_type": "video", "fingerprints": {"tmk-pdqf": "x"}},
]


def test_a_table_of_signals_has_the_kind_of_each_row() -> None:
    reader = HashReader()
    found = Blocklist.parse(SIGNALS, "x", reader)
    assert found == Blocklist(md5=frozenset([MD5]), pdq=frozenset([PDQ]))
    assert reader.left_out == {"videomd5": 1, "url": 1, "rawtext": 1}
    assert reader.summary == "1 md5, 1 pdq; left out: 1 rawtext, 1 url, 1 videomd5"


def test_a_table_with_the_type_of_files_is_read_by_length_as_before() -> None:
    assert Blocklist.parse(f"hash,type\n{MD5},jpg\n", "x").md5 == {MD5}


@pytest.mark.parametrize("form", ["whole", "lines", "lines with spaces"])
def test_lists_of_three_exchanges_in_json(form: str) -> None:
    def text(records: object) -> str:
        if form == "whole" or isinstance(records, dict):
            return json.dumps(records, indent=1)
        between = "\n" if form == "lines" else "\n\n  "
        return "\ufeff" + between.join(map(json.dumps, records))  # type: ignore[call-overload]

    reader = HashReader()
    assert Blocklist.parse(text(STOP_NCII), "x", reader) == Blocklist(pdq=frozenset([PDQ]))
    assert reader.left_out == {"withdrawn": 2, "videomd5": 1}
    assert Blocklist.parse(text(TERRORISM), "x") == Blocklist(md5=frozenset([MD5]), pdq=frozenset([PDQ]))
    reader = HashReader()
    assert Blocklist.parse(text(NCMEC), "x", reader) == Blocklist(md5=frozenset([MD5]), pdq=frozenset([PDQ]))
    assert reader.left_out == {"without a hash of an image": 1}


def test_hashes_without_a_kind_are_read_by_their_length() -> None:
    assert hashes_of({"hash": MD5, "type": "jpg"}, Counter()) == [MD5]
    assert hashes_of({"hash": PDQ, "type": "pdq"}, Counter()) == [f"pdq:{PDQ}"]
    assert hashes_of({"SHA-256": SHA, "md5": MD5, "pdq": None}, Counter()) == [f"sha256:{SHA}", f"md5:{MD5}"]
    assert Blocklist.parse(json.dumps([SHA, MD5]), "x") == Blocklist(md5=frozenset([MD5]), sha256=frozenset([SHA]))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[1, 2]", "record 1"),
        (json.dumps([{"hash": MD5}, {"name": "x"}]), "record 2"),
        (json.dumps([{"pdq": MD5}]), "record 1"),
        ('{"hash": "' + MD5 + '"}\n{"hash": "x"}', "record 2"),
        ("{nonsense", "line 1"),
        ("[" * 100_000, "deep"),
        (f"signal_type,signal_str\npdq,{MD5}\n", "line 2"),
    ],
)
def test_what_is_no_hash_is_refused_with_its_place(tmp_path: Path, text: str, place: str) -> None:
    path = tmp_path / "list.json"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_blocklists([str(path)])
    assert place in str(caught.value) or "JSON" in str(caught.value)


def test_what_was_left_out_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    path = tmp_path / "stop.json"
    path.write_text(json.dumps(STOP_NCII))
    assert read_blocklists([str(path)]).pdq == {PDQ}
    assert "1 pdq; left out: 1 videomd5, 2 withdrawn" in caplog.text


def test_words_for_the_kinds_of_images() -> None:
    assert [kind_of_signal(word) for word in ("PDQ", "Image-PDQ", "HASH_SHA256", "photo_md5", "sha-256")] == [
        *("pdq", "pdq", "sha256", "md5", "sha256")
    ]
    assert not any(map(kind_of_signal, ("video_md5", "tmk", "url", "", "pdqf")))


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(max_size=5) | st.integers(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["hash", "pdq", "type", "fingerprints", "x"]), inner, max_size=3)
        ),
    )
)
def test_any_json_is_read_or_refused(value: object) -> None:
    text = json.dumps(value)
    if is_json(text):
        try:
            assert all(isinstance(line, str) for _, line in json_lines(text, Counter()))
        except ConfigError as error:
            assert error.remedy
