"""The plan of teacher and student: what all stages have in common, the stages in their order, and what is claimed."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tagmill.ingest.views.recipe import view_rules_of
from tagmill.shards import Corpus, Store, View
from tagmill.shards.progress.protocol import Progress
from tagmill.studies.chain.arms import ChainArm, chain_claims, stages_of
from tagmill.studies.chain.chain_options import ChainOptions
from tagmill.studies.chain.chain_run import Chain
from tagmill.studies.chain.label_views import label_views
from tagmill.studies.chain.stage import Stage
from tagmill.studies.plan.arm import ArmView
from tagmill.studies.plan.code_version import code_version
from tagmill.studies.plan.plan_file import PLAN_FORMAT
from tagmill.studies.plan.runs_of_arms import images_of
from tagmill.studies.plan.study_views import ViewFacts, facts_of, study_view
from tagmill.studies.runs.run_task import settings_of
from tagmill.training.config.train import TrainConfig
from tagmill.training.model.build import check_model
from tagmill.transfer.report.report_facts import library_versions

VALIDATION = "validation.txt"
"""Keys of the samples that choose between learning rates, one a line."""
RATE_SHARES = (1 / 9, 1 / 3, 1.0)
"""Of the recipe's learning rate: fine-tuning usually wants a lower one than training from the start."""


def chain_of(options: ChainOptions, recipe: TrainConfig, processes: int, progress: Progress) -> Chain:
    """Makes the views of true labels and that of the tags, or finds them, and returns what all stages have in common. Raises
    TagmillError for what does not fit together."""
    check_model(recipe)
    store = Store(options.output)
    labels = label_views(options.corpus, options.view, options.labels, options.shots, progress)
    store.put(VALIDATION, "".join(f"{key}\n" for key in labels.validation_keys).encode())
    tags = _tags_view(options, labels.validation_keys, progress)
    base = facts_of(Corpus.open(options.corpus), options.view)
    rates = options.rates or tuple(float(f"{share * recipe.lr:.3g}") for share in RATE_SHARES)
    k = options.k or max(1, tags.epoch // (2 * tags.labels))
    images = images_of(recipe, tags.epoch, options.images)
    place = f"{store.url.rstrip('/')}/{VALIDATION}"
    return Chain(
        options.corpus, store, base, tags, labels, place, recipe, images, rates, options.rate_seeds, k, processes
    )


def _tags_view(options: ChainOptions, validation: Sequence[str], progress: Progress) -> ViewFacts:
    """Returns the view of the tags without validation samples, which has the classes of the base view."""
    base = View.open(Corpus.open(options.corpus), options.view)
    excluded = {*view_rules_of(base).members.excluded, *validation}
    with tempfile.TemporaryDirectory(prefix="tagmill-") as folder:
        (listed := Path(folder, "excluded.txt")).write_text("\n".join(sorted(excluded)))
        classes = {"vocabulary": f"{options.corpus}#{options.view}", "min_count": 1, "top_k": None}
        wanted = ArmView("teach-tags", {"exclude": str(listed), **classes})
        return study_view(options.corpus, options.view, wanted, progress)


def images_seen(chain: Chain, stage: Stage) -> int:
    """Returns the images that the network of a stage has seen, without those of its teacher."""
    return chain.images + (images_seen(chain, stage.begins) if stage.begins is not None else 0)


def plan_of_chain(chain: Chain, arms: Sequence[ChainArm], options: ChainOptions) -> Mapping[str, Any]:
    """Returns the plan. A run is a stage with a seed and a rate, which is None where other seeds choose
    it; it begins with the best network of the stages it is after."""
    corpus = Corpus.open(options.corpus)
    stages = stages_of(arms)
    return {
        "format": PLAN_FORMAT,
        "study": "teach",
        "code": code_version(),
        "versions": library_versions(),
        "corpus": {"manifest": corpus.file.manifest.sha256, "totals": corpus.file.totals},
        "base_view": asdict(chain.base),
        "tags_view": asdict(chain.tags),
        "label_views": {name: asdict(getattr(chain.labels, name)) for name in ("true", "few", "validation")},
        "recipe": settings_of(chain.recipe),
        "images": chain.images,
        "seeds": options.seeds,
        "rates": list(chain.rates),
        "rate_seeds": chain.rate_seeds,
        "shots": options.shots,
        "k": chain.k,
        "arms": [{"name": arm.name, "text": arm.text, "last": arm.last.name} for arm in arms],
        "claims": [asdict(claim) for claim in chain_claims()],
        "runs": [
            {"stage": stage.name, "after": [each.name for each in stage.needs], "seed": seed, "rate": rate}
            for stage in stages
            for seed in range(options.seeds)
            for rate in (chain.rates if seed < chain.rate_seeds else (None,))
        ],
    }
