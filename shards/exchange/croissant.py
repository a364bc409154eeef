"""`croissant.json`: a corpus described in Croissant 1.1 (MLCommons), so that catalogues find it and `mlcroissant` reads its
tables.

Croissant's readers do not open labels in NumPy files: the record set `labels` of a view has the classes, and a file set names
the files with the ids of the samples.
"""

import json
from typing import Any

from tagmill.shards.exchange.facts import CorpusFacts, DescribedView

CROISSANT = "croissant.json"
LICENCE = (
    "Unknown. Rights in the images are those of their sources; the field licence has what a source says of an image."
)
# The @context of the specification; readers warn about any other.
CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "prov": "http://www.w3.org/ns/prov#",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
SAMPLE_FIELDS = {
    "key": ("sc:Text", "First 32 hex digits of sha256; name of the sample in its tar"),
    "sha256": ("sc:Text", "Of the source image"),
    "url": ("sc:URL", "Of the source, or the path below the input; null where it is not known"),
    "page": ("sc:URL", "Page of the image, where known"),
    "licence": ("sc:Text", "What the source says; null where it says nothing"),
    "tags": ("sc:Text", "As written at the source"),
    "width": ("sc:Integer", "Pixels of the stored image"),
    "height": ("sc:Integer", "Pixels of the stored image"),
    "original_width": ("sc:Integer", "Pixels of the source image"),
    "original_height": ("sc:Integer", "Pixels of the source image"),
}


def croissant(facts: CorpusFacts) -> bytes:
    """Returns the description: a function of `corpus.json` and the objects that it names."""
    file = facts.corpus.file
    described = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": file.name,
        "description": description(facts),
        "license": LICENCE,
        "version": f"{facts.runs}.0.0",
        "keywords": ["images", "hashtags", "webdataset"],
        "prov:wasGeneratedBy": _runs(facts),
        "rai:dataCollection": "Images were fetched from the URLs of lists, or read from tars and folders, by tagmill.",
        "rai:personalSensitiveInformation": "Not examined: images of the web may show people.",
        "distribution": _distribution(facts),
        "recordSet": _record_sets(facts),
    }
    return json.dumps(described, indent=2, ensure_ascii=True).encode("ascii") + b"\n"


def description(facts: CorpusFacts) -> str:
    """Returns one paragraph in numbers."""
    counts = ", ".join(f"{count:,} in the split {split}" for split, count in facts.samples.items())
    taken = f" {facts.taken_down:,} of them are taken down and must not be used." if facts.taken_down else ""
    labels = ", ".join(
        f"{view.file.totals.get('labels', 0):,} labels in the view {name}" for name, view in facts.views.items()
    )
    return (
        f"Images with hashtags in WebDataset tars: {sum(facts.samples.values()):,} samples ({counts})."
        f"{taken} {labels or 'No view, so no labels'}. {facts.rejected:,} rows of the input became no samples."
    )


def _runs(facts: CorpusFacts) -> list[dict[str, Any]]:
    """The runs that made the corpus, as activities of PROV-O."""
    agent = {"@type": "prov:SoftwareAgent", "prov:label": f"tagmill {facts.corpus.file.code_version}".strip()}
    found = []
    for number, run in enumerate(facts.corpus.file.lineage):
        label = f"tagmill ingest, run {number}: {run.get('rows', 0)} rows, config sha256 {run.get('config_sha256', 'unknown')}"
        found.append(
            {"@type": "prov:Activity", "@id": f"run-{number}", "prov:label": label, "prov:wasAssociatedWith": agent}
        )
    return found


def _distribution(facts: CorpusFacts) -> list[dict[str, Any]]:
    manifest = facts.corpus.file.manifest
    files = [
        _file("manifest", manifest.path, manifest.sha256, "Table of the shards, with the sha256 of each"),
        *(
            {
                "@type": "cr:FileSet",
                "@id": f"tars-{split}",
                "description": f"Tars of the split {split}: KEY.jpg and KEY.json of each sample",
                "encodingFormat": "application/x-tar",
                "includes": f"shards/{pattern}.tar",
            }
            for split, pattern in patterns(facts).items()
        ),
        {
            "@type": "cr:FileSet",
            "@id": "image-files",
            "containedIn": [{"@id": f"tars-{split}"} for split in patterns(facts)],
            "description": "The images in the tars",
            "encodingFormat": "image/jpeg",
            "includes": "*.jpg",
        },
        {
            "@type": "cr:FileSet",
            "@id": "tables",
            "description": "A table beside each tar, with a row a sample",
            "encodingFormat": "application/x-parquet",
            "includes": "shards/*.parquet",
        },
    ]
    for name, view in facts.views.items():
        files.append(
            _file(
                *(f"vocabulary-{name}", f"{view.folder}/vocabulary.json", view.file.vocabulary_sha256),
                f"Classes of the view {name}",
            )
        )
        files.append(
            {
                "@type": "cr:FileSet",
                "@id": f"label-files-{name}",
                "description": f"Label ids of the view {name}: SHARD.labels.npy, int32 [samples, {view.file.max_labels}] in "
                "the order of the shard's table, padded with -1",
                "encodingFormat": "application/x-npy",
                "includes": f"{view.folder}/*.labels.npy",
            }
        )
    return files


def patterns(facts: CorpusFacts) -> dict[str, str]:
    """Returns the glob of the shards' names, without suffix, of each split that has samples."""
    globs = {"train": "[0-9]*", "holdout": "holdout-*"}
    return {split: globs[split] for split, count in facts.shards.items() if count}


def _file(name: str, path: str, sha256: str, text: str) -> dict[str, Any]:
    kind = "application/json" if path.endswith(".json") else "application/x-parquet"
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "contentUrl": path,
        "description": text,
        "encodingFormat": kind,
        "sha256": sha256,
    }


def _record_sets(facts: CorpusFacts) -> list[dict[str, Any]]:
    image = {
        **_field("images/image", "sc:ImageObject", "The JPEG"),
        "source": {"fileSet": {"@id": "image-files"}, "extract": {"fileProperty": "content"}},
    }
    key = {
        **_field("images/key", "sc:Text", "Name of the sample"),
        "source": {
            "fileSet": {"@id": "image-files"},
            "extract": {"fileProperty": "filename"},
            "transform": {"regex": r"^([0-9a-f]{32})\.jpg$"},
        },
        "references": {"field": {"@id": "samples/key"}},
    }
    samples = [_column(name, kind, text) for name, (kind, text) in SAMPLE_FIELDS.items()]
    sets = [
        {"@type": "cr:RecordSet", "@id": "samples", "key": {"@id": "samples/key"}, "field": samples},
        {"@type": "cr:RecordSet", "@id": "images", "key": {"@id": "images/key"}, "field": [key, image]},
    ]
    return [*sets, *(_labels(name, view) for name, view in facts.views.items())]


def _labels(name: str, view: DescribedView) -> dict[str, Any]:
    """The classes of a view."""
    texts = {
        "id": ("sc:Integer", "Number of the label"),
        "name": ("sc:Text", "For people"),
        "images": ("sc:Integer", "Images of the split train that carry it"),
    }
    fields = [
        {
            **_field(f"labels-{name}/{field}", kind, text),
            "source": {"fileObject": {"@id": f"vocabulary-{name}"}, "extract": {"jsonPath": f"$.labels[*].{field}"}},
        }
        for field, (kind, text) in texts.items()
    ]
    return {
        "@type": "cr:RecordSet",
        "@id": f"labels-{name}",
        "dataType": "sc:Enumeration",
        "description": f"The {view.file.totals.get('labels', 0):,} labels of the view {name}",
        "key": {"@id": f"labels-{name}/id"},
        "field": fields,
    }


def _field(name: str, kind: str, text: str) -> dict[str, Any]:
    return {"@type": "cr:Field", "@id": name, "description": text, "dataType": kind}


def _column(name: str, kind: str, text: str) -> dict[str, Any]:
    """A field of the record set `samples`; `tags` is a list."""
    array = {"isArray": True, "arrayShape": "-1"} if name == "tags" else {}
    source = {"fileSet": {"@id": "tables"}, "extract": {"column": name}}
    return {**_field(f"samples/{name}", kind, text), **array, "source": source}
