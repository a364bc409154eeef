"""A page of one file has a bounded size."""

from tagmill.pages.standalone import PAGE_BYTES, PictureBudget, share_of


def test_images_are_left_out_before_the_page_is_too_long() -> None:
    budget = PictureBudget()
    urls = [budget.data_url(b"x" * 8192) for _ in range(1000)]
    assert 0 < budget.left_out < 1000 and sum(len(url) for url in urls if url) < PAGE_BYTES - 1_000_000
    assert budget.data_url(None) is None


def test_a_share_is_never_above_one() -> None:
    assert (share_of(1, 4), share_of(5, 4), share_of(1, 0)) == (0.25, 1, 0)
