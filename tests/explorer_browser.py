"""The explorer's page in headless Chromium, for the tests that drive it."""

import shutil
from contextlib import contextmanager

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


@contextmanager
def browsing():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser, path, fragment="", **options):
    """A page from its file; what the console says, what goes wrong and what it asks for is refused at the end."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
    page, said, asked = context.new_page(), [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"file://{path}{fragment}")
    try:
        yield page
        assert said == []
        assert [url for url in asked if not url.startswith(("file://", "data:"))] == []
    finally:
        context.close()


def write_page(folder, *words):
    """`optlab explore` as a user types it; the file it wrote."""
    from optlab.app.explore import explore

    path = folder / "explorer.html"
    assert explore([f"output={path}", "open=false", *words]) == 0
    return path
