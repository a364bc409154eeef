"""A page of one file has a bounded size."""

from tagmill.pages.standalone import PictureBudget, share_of


def test_a_budget_gives_images_until_it_is_spent() -> None:
    budget = PictureBudget(100_000)
    urls = [budget.data_url(b"x" * 8192) for _ in range(100)]
    assert budget.given == sum(len(url) for url in urls if url) <= 100_000 < budget.given + 12_000
    assert budget.left_out == urls.count(None) > 0 and budget.data_url(None) is None


def test_a_share_is_never_above_one() -> None:
    assert (share_of(1, 4), share_of(5, 4), share_of(1, 0)) == (0.25, 1, 0)
