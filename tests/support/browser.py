"""Pages in headless Chromium: how wide they are, what is cut, whether text can be read, whether a script ran.

The page stands in a frame of the asked width, because a browser's window has a least width. It stands there without its
content security policy, so that a test sees whether values are escaped, not whether the policy caught them.
"""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
HOW = "Chromium is not installed: apt-get install --no-install-recommends chromium (or set CHROMIUM to its path)"
_SECONDS = 180
_POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
_LOOK = """
const frame = document.querySelector('iframe');
frame.addEventListener('load', () => {
  const view = frame.contentWindow, page = frame.contentDocument, root = page.documentElement;
  page.querySelectorAll('details').forEach(one => { one.open = true; });
  const channels = text => text.match(/[0-9.]+/g).map(Number);
  const linear = c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => [r, g, b].map(c => linear(c / 255))
    .reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = one => {
    for (; one; one = one.parentElement) {
      const found = channels(view.getComputedStyle(one).backgroundColor);
      if (found.length < 4 || found[3] > 0) return found;
    }
    return channels(view.getComputedStyle(page.body).backgroundColor);
  };
  const told = {outside: [], faint: [], ran: view.pwned || window.pwned || 0, scripts: page.scripts.length,
    wide: root.scrollWidth, width: view.innerWidth, background: view.getComputedStyle(page.body).backgroundColor,
    loaded: view.performance.getEntriesByType('resource').map(one => one.name), texts: 0,
    elements: page.querySelectorAll('*').length};
  const walker = page.createTreeWalker(page.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const text = node.textContent.trim(), parent = node.parentElement, style = view.getComputedStyle(parent);
    if (!text || ['STYLE', 'SCRIPT', 'title'].includes(parent.tagName) || style.display === 'none') continue;
    if (parent.closest('thead') && view.getComputedStyle(parent.closest('thead')).position === 'absolute') continue;
    told.texts += 1;
    const range = page.createRange();
    range.selectNodeContents(node);
    const box = range.getBoundingClientRect();
    const figure = parent.closest('figure') || root, around = figure.getBoundingClientRect();
    if (box.left < around.left - 0.5 || box.right > around.right + 0.5) told.outside.push(text.slice(0, 60));
    const ink = light(channels(parent.closest('svg') ? style.fill : style.color)), paper = light(behind(parent));
    const contrast = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
    if (contrast < 4.5) told.faint.push(text.slice(0, 40) + ' ' + contrast.toFixed(2));
  }
  document.getElementById('told').textContent = JSON.stringify(told);
});
frame.srcdoc = document.getElementById('page').textContent;
"""


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen. Everything folded away was opened first."""

    outside: list[str]  # texts that are not within the page's width, or not within their figure
    faint: list[str]  # texts with less contrast than 4.5 to 1
    ran: int  # not 0 if a value of the page ran as a script
    scripts: int
    wide: int  # CSS pixels that the page needs
    width: int  # CSS pixels that it has
    background: str
    loaded: list[str]  # what the page asked for
    texts: int
    elements: int


def find_chromium() -> str:
    """The browser, or the test is skipped. In CI, or with SMELT_NEEDS_BROWSER, it fails."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if not found:
        (pytest.fail if os.environ.get("SMELT_NEEDS_BROWSER") or os.environ.get("CI") else pytest.skip)(HOW)
    return str(found)


def look(page: str, folder: Path, width: int, dark: bool = False) -> Look:
    """Open a page's HTML in a frame that is `width` CSS pixels wide."""
    shown = _POLICY.sub("", page)
    holder = folder / "holder.html"
    holder.write_text(
        f'<!doctype html><meta charset="utf-8"><iframe width="{width}" height="900" style="border:0"></iframe>'
        f'<textarea id="page" hidden>{html.escape(shown)}</textarea><pre id="told"></pre><script>{_LOOK}</script>',
        "utf-8",
    )
    dumped = _chromium(folder, ["--dump-dom", "--virtual-time-budget=20000", *_scheme(dark), holder.as_uri()])
    found = re.search(r'<pre id="told">(.*?)</pre>', dumped, re.DOTALL)
    assert found and found[1], f"Chromium told nothing: {dumped[-500:]}"
    told: dict[str, Any] = json.loads(html.unescape(found[1]))
    return Look(**told)


def shoot(page: Path, picture: Path, width: int, height: int, dark: bool = False) -> None:
    """A picture (PNG) of a page."""
    _chromium(
        picture.parent, [f"--window-size={width},{height}", f"--screenshot={picture}", *_scheme(dark), page.as_uri()]
    )


def _scheme(dark: bool) -> list[str]:
    return [f"--blink-settings=preferredColorScheme={0 if dark else 1}"]


def _chromium(folder: Path, arguments: list[str]) -> str:
    base = [
        find_chromium(),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--disable-dev-shm-usage",
    ]
    base += [f"--user-data-dir={folder / 'profile'}", "--no-first-run", "--disable-extensions"]
    done = subprocess.run([*base, *arguments], capture_output=True, text=True, timeout=_SECONDS)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout
