"""ComfyUI's own page in Debian's chromium, over the real ComfyUI with nothing but our pack, in both renderers."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from desk import CHROMIUM, FLAGS, Desk
from playwright.sync_api import Browser, expect, sync_playwright
from server import PATIENCE, Server, base_directory, started

ROOT = Path(os.environ.get("REVPERS_COMFYUI", ""))


def pytest_configure(config: pytest.Config) -> None:
    """Without a ComfyUI or a browser nothing here can be said: never pass in silence."""
    if not (ROOT / "main.py").is_file():
        pytest.exit("set REVPERS_COMFYUI to a ComfyUI folder, or use: make test-host", returncode=2)
    if not CHROMIUM.is_file():
        pytest.exit(f"NO BROWSER at {CHROMIUM}: apt-get install chromium; the page is not tested", returncode=2)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    base = base_directory(tmp_path_factory.mktemp("browser"))
    shutil.copy(ROOT / "input" / "example.png", base / "input")  # what every ComfyUI has
    newer = os.environ.get("REVPERS_FRONTEND")
    with started(ROOT, base, *(("--front-end-root", newer) if newer else ())) as running:
        yield running


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE * 1000)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session", params=["classic", "nodes 2.0"])
def desk(request: pytest.FixtureRequest, server: Server, browser: Browser) -> Iterator[Desk]:
    """The page as a user finds it, in one renderer after the other."""
    page = browser.new_page(viewport={"width": 1600, "height": 900})
    page.set_default_timeout(PATIENCE * 1000)
    yield Desk(page, server, modern=request.param == "nodes 2.0")
    page.close()
