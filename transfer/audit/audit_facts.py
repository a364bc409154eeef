"""What an audit says, as JSON, with what it cannot tell."""

import math
from collections.abc import Mapping

import numpy as np

from tagmill.transfer.audit.associations import POWER, Associations
from tagmill.transfer.audit.subject_counts import LEAST_SHOWN


def audit_facts(found: Associations, made_by: Mapping[str, object], best: int) -> dict[str, object]:
    """Returns the results of an audit, findings first, then by p-value and size of the difference. `made_by`: what was audited;
    `best`: k."""
    counts = found.counts
    groups = [
        {
            "name": name,
            "subjects": int((counts.group == place).sum()),
            "images": int(counts.images[counts.group == place].sum()),
        }
        for place, name in enumerate(counts.groups)
    ]
    order = np.lexsort((-np.abs(found.difference).max(axis=0, initial=0), found.p.min(axis=0, initial=1)))
    rows = [_row(found, column) for column in order.tolist()]
    return {
        **made_by,
        "best": best,
        "groups": groups,
        "level": found.level,
        "permutations": found.permutations,
        "tested": len(counts.tested),
        "untested": counts.untested,
        "findings": int(found.found.any(axis=0).sum()),
        "results": rows,
        "cannot_tell": cannot_tell(found, best),
    }


def cannot_tell(found: Associations, best: int) -> list[str]:
    """Returns sentences for the reader of an audit."""
    counts = found.counts
    smallest = found.least[np.isfinite(found.least)]
    reach = (
        f" Here that is {100 * float(np.median(smallest)):.1f} points for the middle label." if len(smallest) else ""
    )
    return [
        "An association is not a cause: all that differs between the groups' images, such as places, clothes, cameras and how "
        "they were collected, is in the differences too.",
        "No finding is no proof that there is no association: a difference below `least` is found with a chance below about "
        f"{POWER:.0%}.{reach}",
        f"{counts.untested:,} labels and subtrees that fewer than {LEAST_SHOWN} subjects have among the best {best} were not "
        "tested.",
        "The attribute is what the table says; nothing was guessed from an image, and images without a value were left out.",
        "Whether a prediction is right, and whether a label hurts, was not judged.",
        f"p-values hold for all results together; each interval covers its own difference only, with {1 - found.level:.0%}.",
        "The results are about the subjects of this set, and about people like them only if they were drawn by chance.",
    ]


def _row(found: Associations, column: int) -> dict[str, object]:
    counts, tested = found.counts, found.counts.tested[column]
    by_group = [
        {
            "group": name,
            "rate": float(found.rates[place, column]),
            "difference": float(found.difference[place, column]),
            "low": float(found.low[place, column]),
            "high": float(found.high[place, column]),
            "p": float(found.p[place, column]),
            "least": _number(float(found.least[place, column])),
            "finding": bool(found.found[place, column]),
        }
        for place, name in enumerate(counts.groups)
    ]
    return {
        "name": tested.name,
        "subtree": tested.synset,
        "labels": len(tested.labels),
        "subjects": int((counts.hits[:, column] > 0).sum()),
        "groups": by_group,
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
