"""The page and the review form in a real Chromium: filters, search, keys, links, hostile text, light and dark, a laptop and a phone."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lib.analyze.sheet import read_sheet
from lib.publish.page import write_page, write_review_form
from lib.run.manifest import update_manifest
from lib.run.run import Run
from lib.schema import Evaluation, Sample
from lib.settings import Settings
from tests.build import a_planted, a_rubric, a_sample, an_evaluation, count, keep, rubrics_of, write_run
from tests.conftest import small_settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), "")
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium on this machine: apt-get install chromium")

HOSTILE = (
    "<script>window.ran = 1</script><img src=x onerror='window.ran = 2'>[a](javascript:window.ran=3)"
    r" $$\newcommand{\b}[1]{\b{#1#1}}\b{x}$$ $" + "{" * 3000 + "}" * 3000 + "$"
    r" $\href{javascript:window.ran=4}{x}$ $\includegraphics{http://127.0.0.1/x.png}$ $\htmlData{a=b}{<img src=x onerror=window.ran=5>}$"
)
REPLY = "You say *both* count. **The nine million are gone** either way, whatever $x^2 + 1$ is, and it costs $5 and $6."


def samples() -> list[Sample]:
    def one(number: int, **about: Any) -> Sample:
        return a_sample(f"seed{number:03d}_var1", rubrics=rubrics_of(5, 5, -5, 1), **about)

    return [
        one(1, response=REPLY, subject="finance"),
        one(2, response="It is lost."),
        one(3, response="It is gone.", origin="repair", repaired_from="seed002_var1"),
        a_sample(
            "seed004_var1", rubrics=[a_rubric(criteria=HOSTILE)], response=HOSTILE, question=HOSTILE, misconception=HOSTILE, topic=HOSTILE
        ),
        *(
            one(number, response=f"Reply number {number}, about the zebra." if number == 230 else f"Reply {number}.")
            for number in range(5, 261)
        ),
    ]


def evaluated(sample: Sample) -> Evaluation:
    """r2 fails in sample 2, and the quotes of sample 1 stand in its reply."""
    found = an_evaluation(
        sample, failed=["r2"] if sample.id == "seed002_var1" else [], quality_score=2 if sample.id == "seed007_var1" else 4
    )
    if sample.id != "seed001_var1":
        return found
    quotes = ("the nine million are gone", "whatever x^2 + 1 is", "You say ... it costs $5", "no such words")
    verdicts = [
        verdict.model_copy(update={"evidence": quote, "evidence_found": quote != "no such words"})
        for verdict, quote in zip(found.verdicts, quotes, strict=True)
    ]
    return found.model_copy(update={"verdicts": tuple(verdicts)})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, seeds_csv: Path) -> Settings:
    settings = small_settings(tmp_path_factory.mktemp("page"), seeds_csv).model_copy(update={"min_quality_score": 1, "review_samples": 3})
    all_of_them = samples()
    planted = [a_planted(all_of_them[0], failed=["r2"])]
    write_run(settings, all_of_them, [evaluated(sample) for sample in all_of_them], planted=planted)
    for section in ("generation", "judging"):
        update_manifest(Run(settings), section, values={"settings": settings.model_dump(mode="json"), "finished": "2026-12-01"})
    keep(settings)
    count(settings)
    write_page(Run(settings))
    write_review_form(Run(settings))
    return settings


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def page(browser: "Browser", made: Settings) -> Iterator["Page"]:
    """The samples of the page, as it opens from the disk. Whatever it tries to load, or complains of, fails the test."""
    yield from opened(browser, Run(made).report, "#samples")


@pytest.fixture
def form(browser: "Browser", made: Settings) -> Iterator["Page"]:
    yield from opened(browser, Run(made).review_form)


def opened(browser: "Browser", path: Path, place: str = "", **options: Any) -> Iterator["Page"]:
    with browser.new_context(viewport=options.pop("viewport", {"width": 1366, "height": 768}), **options) as context:
        page, trouble = context.new_page(), list[str]()
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("console", lambda line: trouble.append(line.text) if line.type == "error" else None)
        page.on("request", lambda request: trouble.append(request.url) if not request.url.startswith(("file:", "blob:")) else None)
        page.goto(path.as_uri() + place)
        page.wait_for_selector("body[data-ready]")
        yield page
        assert trouble == [] and page.evaluate("window.ran") is None


def listed(page: "Page") -> list[str]:
    return page.locator("#list .head > span:first-child").all_text_contents()


def title(page: "Page", wanted: str) -> None:
    has_text(page, "#sample h2", wanted)


def has_text(page: "Page", place: str, wanted: str) -> None:
    """Wait until the element has exactly this text."""
    from playwright.sync_api import expect

    expect(page.locator(place)).to_have_text(wanted)


# ── filters, search, order ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "value", "ids"),
    [
        ("status", "dropped", ["seed002_var1"]),
        ("reason", "critical rubrics failed", ["seed002_var1"]),
        ("subject", "Finance", ["seed001_var1"]),
        ("origin", "repaired", ["seed003_var1"]),
        ("quality", "2", ["seed007_var1"]),
        ("failed", "Identifies misconception", ["seed002_var1"]),
        ("near", "near miss", ["seed002_var1"]),
    ],
)
def test_a_filter_leaves_what_it_names(page: "Page", name: str, value: str, ids: list[str]) -> None:
    page.select_option(f"select[name={name}]", value)
    assert listed(page) == ids
    assert page.text_content("#count") == f"{len(ids)} of 260"
    page.click("button[type=reset]")
    has_text(page, "#count", "260 of 260")


def test_filters_narrow_one_another(page: "Page") -> None:
    page.select_option("select[name=status]", "kept")
    page.select_option("select[name=subject]", "Microeconomics")
    assert page.text_content("#count") == "258 of 260"


@pytest.mark.parametrize(("wanted", "ids"), [("ZEBRA", ["seed230_var1"]), ("seed044", ["seed044_var1"]), ("no such word", [])])
def test_the_search_looks_into_texts_and_ids_of_all_samples(page: "Page", wanted: str, ids: list[str]) -> None:
    page.fill("#search", wanted)
    has_text(page, "#count", f"{len(ids)} of 260")
    assert listed(page) == ids


def test_what_the_filters_exclude_is_not_left_on_the_screen(page: "Page") -> None:
    title(page, "seed001_var1")
    page.select_option("select[name=status]", "dropped")
    title(page, "seed002_var1")
    page.fill("#search", "no such word")
    has_text(page, "#list", "Nothing is found. “Clear” shows all samples again.")
    assert page.locator("#sample h2").count() == 0


def test_the_worst_come_first_when_asked_for(page: "Page") -> None:
    page.select_option("select[name=status]", "kept")
    page.select_option("select[name=order]", "worst")
    assert listed(page)[0] == "seed007_var1", "of equal weighted scores, that of the lower quality"


# ── keys and links ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_keys_go_on_back_to_the_search_and_to_the_summary(page: "Page") -> None:
    title(page, "seed001_var1")
    page.keyboard.press("j")
    title(page, "seed002_var1")
    page.keyboard.press("ArrowRight")
    title(page, "seed003_var1")
    page.keyboard.press("k")
    title(page, "seed002_var1")
    page.keyboard.press("/")
    page.wait_for_selector("#search:focus")
    page.keyboard.type("jk")
    assert page.input_value("#search") == "jk", "letters of a search are no keys"
    page.keyboard.press("Escape")
    page.keyboard.press("s")
    page.wait_for_selector("#summary:not([hidden])")


def test_a_link_to_a_sample_opens_it_and_the_browser_goes_back(browser: "Browser", made: Settings) -> None:
    for page in opened(browser, Run(made).report, "#seed230_var1"):
        title(page, "seed230_var1")
        assert "seed230_var1" in (page.text_content("#list [aria-current]") or "")
        page.keyboard.press("j")
        title(page, "seed231_var1")
        page.go_back()
        title(page, "seed230_var1")


# ── one sample ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_markdown_and_formulas_are_rendered_and_money_is_money(page: "Page") -> None:
    title(page, "seed001_var1")
    reply = page.locator(".reply")
    assert reply.locator("em").text_content() == "both"
    assert reply.locator("math").count() == 1
    assert (reply.text_content() or "").endswith("and it costs $5 and $6.")


def test_quotes_are_marked_in_the_reply_and_each_can_be_shown(page: "Page") -> None:
    title(page, "seed001_var1")
    marked = page.locator(".reply mark").all_text_contents()
    assert "The nine million are gone" in marked
    assert page.locator(".reply mark math").count() == 1, "a formula counts as its LaTeX"
    page.click("button.quote:has-text('the nine million')")
    assert page.locator("mark.now").all_text_contents() == ["The nine million are gone"]
    assert page.locator("button.quote:has-text('not found in the reply')").count() == 1


def test_failed_criteria_come_first_with_words_for_their_weight(page: "Page") -> None:
    page.evaluate("location.hash = 'seed002_var1'")
    title(page, "seed002_var1")
    assert page.locator(".badge").all_text_contents() == ["✗ not met · critical", "✓ met · critical", "✓ met · ban", "✓ met · minor"]


def test_a_near_miss_is_linked_to_its_repair_and_a_planted_copy_shown_as_a_diff(page: "Page") -> None:
    title(page, "seed001_var1")
    assert page.locator("details:has-text('Planted failure') del").count() > 0
    page.evaluate("location.hash = 'seed002_var1'")
    title(page, "seed002_var1")
    assert (page.locator(".diff del").text_content(), page.locator(".diff ins").text_content()) == ("lost", "gone")
    page.click("#sample details a")
    title(page, "seed003_var1")


def test_hostile_text_is_shown_and_does_not_run(page: "Page") -> None:
    page.evaluate("location.hash = 'seed004_var1'")
    title(page, "seed004_var1")
    assert "<script>window.ran = 1</script>" in (page.text_content("#sample") or "")
    assert page.locator("#sample img, #sample script, #sample a[href^=javascript]").count() == 0
    page.fill("#search", "<script>")
    has_text(page, "#count", "1 of 260")


# ── looks ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("width", [1366, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_laptop_and_a_phone_nothing_is_wider_than_the_screen_and_text_stands_out(
    browser: "Browser", made: Settings, width: int, scheme: str
) -> None:
    for page in opened(browser, Run(made).report, viewport={"width": width, "height": 800}, color_scheme=scheme):
        for place in ("summary", "seed001_var1"):
            page.evaluate("place => { location.hash = place }", place)
            page.wait_for_selector("#summary:not([hidden])" if place == "summary" else "#samples:not([hidden]) .reply")
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        paper, ink = (page.evaluate(f"getComputedStyle(document.body).{name}") for name in ("backgroundColor", "color"))
        assert (lightness(paper) > lightness(ink)) == (scheme == "light")
        assert abs(lightness(paper) - lightness(ink)) > 180


def test_on_a_phone_the_list_comes_first_and_a_sample_leads_back_to_it(browser: "Browser", made: Settings) -> None:
    for page in opened(browser, Run(made).report, viewport={"width": 390, "height": 800}):
        page.click("#to-samples")
        has_text(page, "#count", "260 of 260")
        assert scrolled(page, lambda top: top == 0)
        page.click("#list li >> nth=1")
        title(page, "seed002_var1")
        page.wait_for_selector(".back")
        assert scrolled(page, lambda top: top > 0)
        page.click(".back")
        page.wait_for_selector("#search")
        assert scrolled(page, lambda top: top == 0)


def scrolled(page: Any, is_there: Callable[[float], bool]) -> bool:
    """Whether the page comes to stand there within two seconds. The browser scrolls a moment after it was told to."""
    for _ in range(40):
        if is_there(page.evaluate("window.scrollY")):
            return True
        page.wait_for_timeout(50)
    return False


def lightness(colour: str) -> float:
    return sum(map(int, re.findall(r"\d+", colour)[:3])) / 3


def test_it_works_in_a_frame_that_only_may_run_scripts(browser: "Browser", made: Settings, tmp_path: Path) -> None:
    """As JupyterLab shows it."""
    outer = tmp_path / "notebook.html"
    outer.write_text(f"<iframe src='{Run(made).report.as_uri()}' sandbox='allow-scripts' width=1000 height=600></iframe>")
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(outer.as_uri())
        frame = page.frame_locator("iframe")
        frame.locator("#to-samples").click()
        frame.locator("#sample h2").wait_for()
        assert frame.locator("#count").text_content() == "260 of 260"


# ── the review form ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_form_is_filled_in_by_keys_and_saves_a_sheet_that_notebook_3_reads(form: "Page", tmp_path: Path) -> None:
    for key in ("y", "n", "y", "n", "u"):
        form.keyboard.press(key)
    form.fill("#note", '=1+1 "so"')
    assert form.text_content("#count") == "1 of 3 samples done"
    with form.expect_download() as download:
        form.click("#export")
    assert download.value.suggested_filename == "t_review.csv"
    sheet = tmp_path / "sheet.csv"
    download.value.save_as(sheet)
    labels = read_sheet(sheet)
    assert [label.met for label in labels] == [True, False, True, False, None, None, None, None, None]
    assert len({(label.sample_id, label.rubric_id) for label in labels}) == 9
    assert '"\'=1+1 ""so"""' in sheet.read_text("utf-8-sig"), "no cell is a formula in a spreadsheet"


def test_a_larger_form_holds_the_answers_of_the_sheet_that_was_saved_before(
    form: "Page", browser: "Browser", made: Settings, tmp_path: Path
) -> None:
    for key in ("y", "n", "y"):
        form.keyboard.press(key)
    with form.expect_download() as download:
        form.click("#export")
    sheet = tmp_path / "sheet.csv"
    download.value.save_as(sheet)
    larger = Run(made.model_copy(update={"review_samples": 4, "review_csv": str(sheet)}))
    path = write_review_form(larger)
    try:
        for page in opened(browser, path):
            assert page.text_content("#count") == "1 of 4 samples done"
    finally:
        write_review_form(Run(made))


def test_answers_are_there_again_after_the_window_was_closed(form: "Page") -> None:
    for key in ("y", "y", "n"):
        form.keyboard.press(key)
    form.reload()
    form.wait_for_selector("body[data-ready]")
    assert form.text_content("#sample h2") == "Sample 2 of 3"
    form.keyboard.press("ArrowLeft")
    assert form.locator("[aria-pressed=true]").all_text_contents() == ["Met (y)", "Met (y)", "Not met (n)"]


def test_a_formula_that_exhausts_the_typesetter_neither_stops_the_form_nor_shifts_its_answers(
    browser: "Browser", made: Settings, seeds_csv: Path, tmp_path: Path
) -> None:
    """The keys answer for the sample on the screen."""
    bomb = [a_sample(f"seed{number:03d}_var1", rubrics=rubrics_of(5), response=HOSTILE) for number in (1, 2, 3)]
    settings = small_settings(tmp_path, seeds_csv)
    write_run(settings, bomb, [an_evaluation(sample) for sample in bomb])
    keep(settings)
    for form in opened(browser, write_review_form(Run(settings))):
        for number in (1, 2, 3):
            has_text(form, "#sample h2", f"Sample {number} of 3")
            form.keyboard.press("y")
        assert form.text_content("#count") == "3 of 3 samples done"


def test_the_form_shows_neither_status_nor_verdict(form: "Page") -> None:
    for _ in range(3):
        assert not re.search(r"dropped|kept|critical|✗|✓", form.text_content("#sample") or "")
        form.keyboard.press("ArrowRight")
