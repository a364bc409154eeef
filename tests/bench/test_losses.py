"""Tests the benchmark of the losses: all ways compute the same, and what autograd keeps and makes is counted."""

import json
from pathlib import Path

import pytest
import torch

from tagmill.bench import losses
from tagmill.bench.losses import Target, allocated, by_autograd, kept, ways


def test_all_ways_have_the_same_loss_and_gradient() -> None:
    logits, found = torch.randn(5, 40).requires_grad_(), dict[str, list[torch.Tensor]]()
    for name, way in ways(Target.drawn(5, 40)).items():
        logits.grad = None
        (loss := way(logits)).backward()
        assert logits.grad is not None
        found.setdefault(name.partition(",")[0], []).append(torch.cat([loss.detach()[None], logits.grad.flatten()]))
    assert [len(each) for each in found.values()] == [4, 3]
    for first, *others in found.values():
        for other in others:
            torch.testing.assert_close(other, first, rtol=1e-4, atol=1e-6)


def test_bytes_are_counted_in_logits() -> None:
    target, logits = Target.drawn(50, 400), torch.randn(50, 400).requires_grad_()
    dense = ways(target)["softmax, torch, target given"]
    assert kept(dense, logits) == pytest.approx(2, abs=0.1) and allocated(dense, logits) == pytest.approx(2, abs=0.1)
    assert allocated(lambda values: by_autograd(values, target.shared), logits) > 2.9


def test_a_tiny_run_measures_every_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    losses.main(["--quick", "--out", str(tmp_path / "losses.json")])
    written = json.loads((tmp_path / "losses.json").read_text())
    assert len(written["cases"]) == 7 and len(written["ratios"]) == 5
    assert capsys.readouterr().out.count("ratio") == 5
