"""Facts of a selection: which classes are short or empty, and what the recipe and the JSON have."""

import json
from typing import Any

from tagmill.studies.selection.chosen_rows import Chosen, ClassCount
from tagmill.studies.selection.selection_facts import SelectionFacts

COUNTS = (ClassCount(9, 3, 60000, 40000), ClassCount(2, 2, 50000, 100), ClassCount(0), ClassCount(3, 3, 9, 8))


def facts(**more: Any) -> SelectionFacts:
    given = {"view": "student", "rule": "balanced", "k": 3, "p": 5, "seed": 7, "scores": "a" * 64, "teacher": "t"}
    given |= {"loss": "softmax", "scored": 20, "names": ("dog", "bear", "oak", "cat"), "left_out": ("sky",)}
    return SelectionFacts(**{**given, "chosen": Chosen(COUNTS, 8, 7), **more})


def test_classes_that_are_short_have_images_and_those_without_are_named() -> None:
    assert facts().short == 1 and facts().empty == ["oak"]
    assert facts(k=4).short == 2 and facts(k=1).short == 0
    assert facts().classes[1] == ("bear", COUNTS[1])


def test_the_recipe_has_what_determined_the_selection_and_nothing_of_its_name() -> None:
    recipe = facts().recipe()
    assert recipe == {"rule": "balanced", "k": 3, "p": 5, "seed": 7, "scores": "a" * 64, "tags_view": None}
    assert facts(view="other", teacher="u").recipe() == recipe
    assert facts(rule="tags", tags_view="b" * 64).recipe()["tags_view"] == "b" * 64


def test_the_json_has_counts_and_names_and_is_plain() -> None:
    values = json.loads(json.dumps(facts().values()))
    assert values["classes"] == 4 and values["rows"] == 8 and values["images"] == 7 and values["view"] == "student"
    assert values["classes_below_k"] == 1 and values["classes_without_images"] == ["oak"]
    assert values["classes_without_synsets"] == ["sky"] and values["k"] == 3
