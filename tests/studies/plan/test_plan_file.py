"""A plan is written once; another one in the same folder is refused, with the difference."""

from pathlib import Path

import pytest

from tagmill.shards import ConfigError, Store
from tagmill.studies.plan.plan_file import keep_plan

PLAN = {"format": 1, "code": "1 a", "recipe": {"lr": 0.1}, "runs": [{"run": "a"}]}


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"code": "1 b", "runs": []}, "by other code: 1 a, and this is 1 b"),
        ({"recipe": {"lr": 0.2}, "runs": [{"run": "b"}]}, r"recipe.lr is 0.1 there, and 0.2 now"),
        ({"seeds": 3}, "seeds is null there, and 3 now"),
    ],
)
def test_another_plan_is_refused_by_its_first_difference(tmp_path: Path, changed: dict[str, object], says: str) -> None:
    store = Store(str(tmp_path))
    keep_plan(store, PLAN)
    keep_plan(store, PLAN)
    before = store.read("plan.json")
    with pytest.raises(ConfigError, match=says):
        keep_plan(store, {**PLAN, **changed})
    assert store.read("plan.json") == before
