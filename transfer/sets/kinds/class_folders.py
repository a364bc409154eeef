"""Reads an image folder: a class per folder, as torchvision's ImageFolder and ImageNet have them."""

from collections.abc import Iterator, Sequence

from tagmill.ingest.labels.synsets import WordNet, is_synset
from tagmill.shards.errors import InputError
from tagmill.transfer.sets.labelled_set import Example, SetClass
from tagmill.transfer.sets.set_files import SetFiles
from tagmill.transfer.sets.stored_images import StoredImage, StoredSet, is_image_name, log, stored_set


def class_folder_set(name: str, files: SetFiles) -> StoredSet:
    """Returns the set of the images below the folders at the top: the class of an image is its first folder, its key the path
    without the set's own, and classes are sorted by the name of their folder.

    A folder whose name is a synset id is the class of that synset, with WordNet's first word as its name where WordNet 3.0
    has it. Files of other kinds, and files beside the folders, are left out and their number is logged.
    Raises InputError for images beside the folders only, and where `check_set` does.
    """
    folders = files.folders
    if not folders:
        what = "images without class folders" if any(map(is_image_name, files.sizes)) else "no images"
        raise InputError(
            what, files.store.url, "put the images of each class into a folder of its name, or give a table"
        )
    found = [*folder_examples(files, folders)]
    if others := len(files.sizes) - len(found):
        log.info("%s: %s files that are no images of a class are left out", files.store.url, f"{others:,}")
    return stored_set(name, files.store, classes_of_folders(folders), found)


def folder_examples(files: SetFiles, folders: Sequence[str]) -> Iterator[tuple[Example, StoredImage]]:
    """Yields the images below `folders` in the order of their paths; the label is the place of the first folder."""
    places = {folder: (place,) for place, folder in enumerate(folders)}
    for path, size in files.sizes.items():
        folder, slash, _ = path.partition("/")
        if slash and folder in places and is_image_name(path):
            yield Example(path, places[folder]), StoredImage(path, size)


def classes_of_folders(folders: Sequence[str]) -> list[SetClass]:
    """Returns a class for each folder name. Names that are synset ids get WordNet's first word, so
    that two can have one name: `crane` is a bird and a machine."""
    wordnet = WordNet.load() if any(map(is_synset, folders)) else None
    words = {
        folder: wordnet.lemmas(folder)[0].replace("_", " ") if wordnet is not None and folder in wordnet else folder
        for folder in folders
    }
    return [SetClass(words[folder], folder if is_synset(folder) else None) for folder in folders]
