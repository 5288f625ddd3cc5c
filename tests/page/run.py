"""Checks of the page in a real browser; see scripts/test-page.

Each check is a function whose docstring says what must be true. Pictures of what was seen lie in the folder given with --pictures, for
people to look at.
"""

import argparse
import json
import os
import re
import shutil
import sys
import tempfile
import time
import traceback

from driver import ENTER, ESCAPE, SPACE, TAB, Driver
from stage import KEY, NASTY_AGGREGATE, NASTY_CONSUMER, NASTY_EVENT, Stage, ask, wait

SCREENS = [(width, dark) for dark in (False, True) for width in (1280, 360)]
BROWSER_ACCEPT = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}

# The least contrast of text and of the edges of controls (WCAG 2.2, 1.4.3 and 1.4.11).
TEXT_CONTRAST, CONTROL_CONTRAST = 4.5, 3.0

LIVE = "return /^Live, \\d/.test(document.getElementById('live-words').textContent)"

# Every visible text with its contrast against what lies behind it, and every control with that of its edge.
CONTRAST = """
const parse = (text) => {
  const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number);
  return { r, g, b, a };
};
const over = (top, below) => {
  const mix = (a, b) => a * top.a + b * (1 - top.a);
  return { r: mix(top.r, below.r), g: mix(top.g, below.g), b: mix(top.b, below.b), a: 1 };
};
const behind = (node) => {
  const layers = [];
  for (let at = node; at; at = at.parentElement) layers.push(parse(getComputedStyle(at).backgroundColor));
  let color = { r: 255, g: 255, b: 255, a: 1 };
  for (const layer of layers.reverse()) color = over(layer, color);
  return color;
};
const light = ({ r, g, b }) => {
  const part = (x) => { x /= 255; return x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4; };
  return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
};
const ratio = (a, b) => {
  const [high, low] = [light(a), light(b)].sort((x, y) => y - x);
  return (high + 0.05) / (low + 0.05);
};
const found = [];
for (const node of document.body.querySelectorAll("*")) {
  if (!node.checkVisibility() || node.closest("svg, script, style, noscript, .unseen")) continue;
  const style = getComputedStyle(node);
  const text = [...node.childNodes].filter((child) => child.nodeType === 3).map((child) => child.data.trim()).join("");
  if (text && !node.disabled) {
    const below = behind(node);
    found.push({ kind: "text", what: text.slice(0, 40), ratio: ratio(over(parse(style.color), below), below) });
  }
  if (node.matches("button:not(:disabled), input")) {
    const around = behind(node.parentElement);
    const inside = behind(node);
    const edge = over(parse(style.borderTopColor), around);
    found.push({ kind: "control", what: node.id || text, ratio: Math.max(ratio(edge, around), ratio(inside, around)) });
  }
}
for (const line of document.querySelectorAll(".plot .rule")) {
  found.push({ kind: "control", what: "chart", ratio: ratio(parse(getComputedStyle(line).stroke), behind(line.parentElement.parentElement)) });
}
return found;
"""

# What the page says, place by place, without what only one of the two ways has.
WORDS = """
const texts = [];
for (const id of ["status", "summary", "paused", "reasons", "lag", "pending", "held", "stored", "written", "letters-count", "letters-note",
                  "consumers-note", "schedules-note", "errors-note", "consumer"])
  texts.push([id, document.getElementById(id).textContent]);
for (const id of ["consumers", "schedules", "errors"]) {
  const rows = [...document.getElementById(id).children].map((row) => row.outerHTML.replace(/ data-of="[^"]*"/g, ""));
  texts.push([id, rows.map((row) => row.replace(/\\b(in )?\\d+ (s|min|h \\d+ min)\\b/g, "SPAN")).join("\\n")]);
}
return texts;
"""

BOXES = """
return [...document.querySelectorAll("main > *, .figures tr, figure, .pair > *")]
  .filter((node) => node.checkVisibility() && !node.matches(".unseen"))
  .map((node) => { const box = node.getBoundingClientRect(); return [node.id || node.className || node.tagName, Math.round(box.top + scrollY), Math.round(box.height)]; });
"""


def expect(true, what):
    if not true:
        raise AssertionError(what)


class Checks:
    def __init__(self, options, driver, stage):
        self.options, self.driver, self.stage = options, driver, stage

    def picture(self, browser, name):
        browser.picture(os.path.join(self.options.pictures, name + ".png"))

    def browser(self, scripts=True, width=1280, dark=False):
        browser = self.driver.open(scripts)
        browser.screen(width, dark)
        return browser

    def open(self, browser, url=None):
        browser.go(url or self.stage.url)
        browser.wait("the page is live", LIVE)

    def quiet(self, browser, allowed=()):
        said = [line for line in browser.console() if not any(part in line for part in allowed)]
        expect(not said, f"the console says {said}")

    def narrow(self, browser):
        inner, outer = browser.run("return [document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        expect(inner <= outer, f"the page is {inner} px wide on a screen of {outer}")

    # The checks, in order.

    def headers(self):
        """HTML for browsers, JSON for programs, and a policy that allows one script and one style."""
        status, headers, text = ask(self.stage.url, BROWSER_ACCEPT)
        expect(status == 200 and text.startswith("<!doctype html>"), "HTML")
        policy = headers["Content-Security-Policy"]
        expect("default-src 'none'" in policy and "unsafe" not in policy, policy)
        expect(headers["X-Content-Type-Options"] == "nosniff", "nosniff")
        expect(headers["X-Frame-Options"] == "DENY", "no frames")
        expect("no-store" in headers["Cache-Control"], "not stored")
        for accept in ({}, {"Accept": "*/*"}, {"Accept": "application/json"}):
            status, headers, text = ask(self.stage.url, accept)
            expect(headers["Content-Type"] == "application/json" and "links" in json.loads(text), str(accept))

    def plain(self):
        """Without a script the page tells all that can be told, and asks for no key."""
        for width, dark in SCREENS:
            browser = self.browser(scripts=False, width=width, dark=dark)
            try:
                browser.go(self.stage.url)
                expect("orders" in browser.text("h1"), "the name")
                for selector, wanted in [("#status", "Degraded"), ("#reasons", "dead_letters"), ("#stored", "3"),
                                         ("#consumers", NASTY_CONSUMER), ("#schedules", "nightly-report"), ("#errors", NASTY_EVENT),
                                         ("header", "Look again")]:
                    expect(wanted in browser.text(selector), f"{selector} lacks {wanted}: {browser.text(selector)}")
                expect(browser.text("#unlock") == "" and browser.text("#live") == "", "what needs a script is not shown")
                self.picture(browser, f"plain-{'dark' if dark else 'light'}-{width}")
                self.quiet(browser)
            finally:
                browser.close()

    def screens(self):
        """Live, on wide and narrow screens, light and dark: nothing beside the screen, enough contrast, a silent console."""
        browser = self.browser()
        try:
            for width, dark in SCREENS:
                browser.screen(width, dark)
                self.open(browser)
                self.narrow(browser)
                poor = [one for one in browser.run(CONTRAST)
                        if one["ratio"] < (TEXT_CONTRAST if one["kind"] == "text" else CONTROL_CONTRAST)]
                expect(not poor, f"contrast at {width} px, dark={dark}: {poor}")
                expect(len(browser.run(CONTRAST)) > 50, "there was something to measure")
                self.picture(browser, f"live-{'dark' if dark else 'light'}-{width}")
            # 200 % on a screen of 1280 px, and the narrowest that WCAG 1.4.10 knows.
            for width in (640, 320):
                browser.screen(width)
                self.narrow(browser)
            self.quiet(browser)
        finally:
            browser.close()

    def same(self):
        """The script says what the server has said, in the same places: nothing jumps."""
        browser = self.browser()
        try:
            # The script's first look is held up until the server's words were read.
            browser.cdp("Network.enable")
            browser.cdp("Network.setBlockedURLs", urls=["*/overview"])
            for width in (1280, 360):
                browser.screen(width)
                browser.cdp("Network.setBlockedURLs", urls=["*/overview"])
                browser.go(self.stage.url)
                before, boxes = browser.run(WORDS), browser.run(BOXES)
                expect(not browser.run(LIVE), "not live yet")
                browser.cdp("Network.setBlockedURLs", urls=[])
                browser.wait("the page is live", LIVE)
                after, moved = browser.run(WORDS), browser.run(BOXES)
                expect(before == after, "the words differ:\n" + "\n".join(
                    f"{one}\n{other}" for one, other in zip(before, after) if one != other))
                self.boxes(boxes, moved)
            browser.console()
        finally:
            browser.close()

    def boxes(self, before, after):
        names = [box[0] for box in before]
        expect(names == [box[0] for box in after], f"{names} became {[box[0] for box in after]}")
        jumped = [(one, other) for one, other in zip(before, after) if abs(one[1] - other[1]) > 1 or abs(one[2] - other[2]) > 1]
        expect(not jumped, f"jumped: {jumped}")

    def hostile(self):
        """Names that are markup stay text, in the document and in its title."""
        browser = self.browser()
        try:
            self.open(browser)
            expect("owned" not in browser.run("return document.title"), "the title is ours")
            counts = browser.run("return ['script', 'img', 'iframe', 'object'].map((tag) => document.getElementsByTagName(tag).length)")
            expect(counts == [1, 0, 0, 0], f"{counts}")
            expect(browser.run("return document.querySelectorAll('svg').length") == 5, "five drawings of our own")
            for part in (NASTY_CONSUMER, NASTY_EVENT):
                expect(browser.run("return document.body.textContent.includes(arguments[0])", part), f"{part} is shown as text")
            # Without a key nobody learns whom an event is about.
            expect(not browser.run("return document.body.textContent.includes(arguments[0])", NASTY_AGGREGATE), "the aggregate id is not shown")
            # The policy is in force: neither markup nor a script can be brought in.
            expect(browser.run("try { document.body.innerHTML = '<b>x</b>'; return false; } catch { return true; }"),
                   "no text becomes markup")
            expect(browser.run("""
                const script = document.createElement("script");
                script.append("document.title = 'owned'");
                document.body.append(script);
                const link = document.createElement("a");
                link.href = "javascript:document.title='owned'";
                document.body.append(link);
                link.click();
                return ["src", "text"].every((name) => { try { script[name] = "data:,1"; return false; } catch { return true; } });
            """), "no text becomes a script")
            time.sleep(0.3)
            expect(browser.run("return document.title").startswith("Degraded"), "no foreign script runs")
            expect(any("Content Security Policy" in line for line in browser.console()), "and the console says why")
        finally:
            browser.close()

    def follows(self):
        """Figures follow; so do losing Redis and losing weir's answers; a hidden page asks nothing; frozen is frozen."""
        browser = self.browser()
        try:
            self.open(browser)
            handled = int(browser.text("#handled").replace(",", ""))
            self.stage.event("order.created", "order-new")
            browser.wait("one more is handled", "return Number(document.getElementById('handled').textContent.replaceAll(',', '')) > arguments[0]", 20, handled)
            # Frozen: figures stay, and nothing is asked.
            browser.click("#freeze")
            expect(browser.run("return document.getElementById('freeze').getAttribute('aria-pressed')") == "true", "pressed")
            time.sleep(0.5)
            asked = "return performance.getEntriesByType('resource').filter((one) => one.name.endsWith('/overview')).length"
            before = browser.run(asked)
            time.sleep(5)
            expect(browser.run(asked) == before, "frozen asks nothing")
            browser.click("#freeze")
            browser.wait("it asks again", "return performance.getEntriesByType('resource').filter((one) => one.name.endsWith('/overview')).length > arguments[0]", 10, before)
            # Hidden: the same.
            browser.run("Object.defineProperty(document, 'hidden', { value: true, configurable: true }); document.dispatchEvent(new Event('visibilitychange'));")
            time.sleep(0.5)
            before = browser.run(asked)
            time.sleep(5)
            expect(browser.run(asked) == before, "hidden asks nothing")
            browser.run("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'));")
            browser.wait("it asks again", "return performance.getEntriesByType('resource').filter((one) => one.name.endsWith('/overview')).length > arguments[0]", 10, before)
            self.quiet(browser)
            # No answer.
            browser.cdp("Network.enable")
            browser.cdp("Network.setBlockedURLs", urls=["*/overview"])
            browser.wait("it says so", "return document.getElementById('gone').checkVisibility()", 30)
            self.picture(browser, "gone-light-1280")
            browser.cdp("Network.setBlockedURLs", urls=[])
            browser.wait("and that it is over", "return !document.getElementById('gone').checkVisibility()", 30)
        finally:
            browser.close()

    def keyboard(self):
        """Everything that can be clicked can be reached by Tab, in the order of reading, with a focus that is seen."""
        browser = self.browser()
        try:
            self.open(browser)
            reached = []
            for _ in range(20):
                browser.keys(TAB)
                at = browser.run("""
                    const at = document.activeElement;
                    if (at === document.body) return null;
                    const style = getComputedStyle(at), box = at.getBoundingClientRect();
                    return [at.id || at.textContent.trim(), style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2, box.top + scrollY, box.bottom > 0];
                """)
                if at is None:
                    break
                reached.append(at)
            names = [one[0] for one in reached]
            expect(names == ["Skip to the state", "freeze", "key", "Show them", "consumers-box", "schedules-box",
                             "Health", "These figures as JSON", "OpenAPI"], f"{names}")
            expect(all(one[1] for one in reached), f"a focus is not seen: {reached}")
            expect(all(one[3] for one in reached), "a focus is above the screen")
            self.open(browser)
            browser.keys(TAB, ENTER)
            expect(browser.run("return document.activeElement.id") == "main", "the link skips")
            # Motion only where it is wanted.
            browser.screen(1280, calm=True)
            expect(browser.run("return document.getAnimations().length") == 0, "nothing moves when that is asked for")
            browser.screen(1280)
            expect(browser.run("return document.getAnimations().length") == 1, "else one dot breathes")
        finally:
            browser.close()

    def paused(self):
        """A pause is shown with who asked for it, and its end as well."""
        browser = self.browser()
        key = "weir:1:{event-stream}:orders:paused"
        try:
            self.open(browser)
            pause = {"by": "ann on db1", "since": int(time.time() * 1000), "reason": "the database moves " + NASTY_EVENT}
            self.stage.redis.do("SET", key, json.dumps(pause))
            browser.wait("it is shown", "return document.getElementById('status').textContent === 'Paused'")
            for part in ("Paused by ann on db1 since 20", "the database moves", NASTY_EVENT):
                expect(part in browser.text("#paused"), f"{part} in {browser.text('#paused')}")
            for width, dark in SCREENS:
                browser.screen(width, dark)
                self.narrow(browser)
                poor = [one for one in browser.run(CONTRAST) if one["kind"] == "text" and one["ratio"] < TEXT_CONTRAST]
                expect(not poor, f"{poor}")
                self.picture(browser, f"paused-{'dark' if dark else 'light'}-{width}")
            self.stage.redis.do("DEL", key)
            browser.wait("it is over", "return document.getElementById('status').textContent !== 'Paused' && document.getElementById('paused').hidden")
            self.quiet(browser)
        finally:
            self.stage.redis.do("DEL", key)
            browser.close()

    def letters(self):
        """A key opens the dead letters; retrying and dropping work by keyboard; the key is nowhere to be found."""
        browser = self.browser()
        try:
            self.open(browser)
            browser.run("document.getElementById('key').focus()")
            browser.keys(*"not-the-key", ENTER)
            browser.wait("a wrong key is refused", "return document.getElementById('said').textContent.includes('not valid')")
            expect(browser.run("return document.activeElement.id") == "key", "the focus is where the next try begins")
            expect(browser.run("return document.getElementById('key').value") == "", "the field is empty")
            self.picture(browser, "letters-refused-light-1280")
            browser.keys(*KEY, ENTER)
            browser.wait("they are listed", "return document.getElementById('letters').children.length === 3")
            for part in (NASTY_EVENT, NASTY_AGGREGATE, "rejected", "article-7719"):
                expect(part in browser.text("#letters"), f"{part} is listed")
            expect(browser.run("return document.querySelectorAll('#letters script, #letters img').length") == 0, "as text")
            expect(browser.run("return document.activeElement.textContent") == "Retry", "the focus is on the first")
            for width, dark in SCREENS:
                browser.screen(width, dark)
                self.narrow(browser)
                poor = [one for one in browser.run(CONTRAST)
                        if one["ratio"] < (TEXT_CONTRAST if one["kind"] == "text" else CONTROL_CONTRAST)]
                expect(not poor, f"contrast at {width} px, dark={dark}: {poor}")
                self.picture(browser, f"letters-{'dark' if dark else 'light'}-{width}")
            browser.screen(1280)
            # Its fields, and away with them.
            browser.keys(TAB, ENTER)
            browser.wait("its fields", "return document.querySelectorAll('.fields dt').length >= 3")
            expect("payload" in browser.text(".fields"), "the payload too")
            for width, dark in ((1280, False), (360, True)):
                browser.screen(width, dark)
                self.narrow(browser)
                self.picture(browser, f"letters-fields-{'dark' if dark else 'light'}-{width}")
            browser.screen(1280)
            browser.keys(ENTER)
            expect(browser.run("return document.querySelector('.fields') === null"), "away")
            # Keep, by Escape and by its button; then drop the first for good.
            browser.keys(TAB, ENTER)
            expect(browser.run("return document.activeElement.textContent") == "Keep", "the careful answer has the focus")
            browser.keys(ESCAPE)
            expect(browser.run("return document.activeElement.textContent") == "Drop", "Escape keeps it")
            browser.keys(ENTER, SPACE)
            expect(browser.run("return document.activeElement.textContent") == "Drop", "so does the button")
            self.picture(browser, "letters-kept-light-1280")
            dead = lambda: self.stage.redis.do("XLEN", "event-stream:dead-letter")
            expect(dead() == 3, "all three are there")
            browser.keys(ENTER)
            browser.run("document.activeElement.previousElementSibling.focus()")
            browser.keys(ENTER)
            browser.wait("it is dropped", "return document.getElementById('said').textContent.startsWith('Dropped')")
            expect(dead() == 2, "two are left")
            expect(browser.run("return document.activeElement.textContent") == "Retry", "the focus is on the next one")
            # Retry the next: it fails again, and is a dead letter again, as a new entry.
            length = self.stage.redis.do("XLEN", "event-stream")
            browser.keys(ENTER)
            browser.wait("it is sent again", "return document.getElementById('said').textContent.startsWith('Sent again')")
            wait("a new entry", lambda: self.stage.redis.do("XLEN", "event-stream") == length + 1)
            wait("a dead letter once more", lambda: dead() == 2)
            self.picture(browser, "letters-done-light-1280")
            # All of them.
            browser.click("#all")
            expect(browser.text("#all") == "Really retry all", "it asks first")
            browser.click("#all")
            browser.wait("all are sent again", "return document.getElementById('said').textContent.startsWith('2 dead letters sent again, none')")
            expect(browser.text("#all") == "Retry all", "and it is done")
            wait("new entries", lambda: self.stage.redis.do("XLEN", "event-stream") == length + 3)
            wait("dead letters once more", lambda: dead() == 2)
            # The key is in no store, no address, no field; forgetting it takes the list away.
            stored = browser.run("return JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, location.href, history.state])")
            expect(KEY not in stored, "the key is stored")
            expect(KEY not in browser.run("return document.documentElement.outerHTML + document.getElementById('key').value"), "the key is in the page")
            browser.click("#lock")
            expect(browser.run("return document.getElementById('letters').children.length") == 0, "the list is gone")
            expect(browser.run("return document.activeElement.id") == "key", "and the field is back")
            self.quiet(browser, allowed=("401 (Unauthorized)",))
            with open(self.stage.log, encoding="utf-8") as log:
                expect(KEY not in log.read(), "the key is in the log")
        finally:
            browser.close()

    def many(self):
        """Twenty open pages cost Redis nothing."""
        def commands():
            text = self.stage.redis.do("INFO", "commandstats")
            counts = {name: int(calls) for name, calls in re.findall(r"cmdstat_([^:]+):calls=(\d+)", text)}
            return sum(count for name, count in counts.items() if name.startswith(("xinfo", "xlen", "xrange", "xrevrange")))

        def during(seconds, looks):
            before = commands()
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                for _ in range(looks):
                    ask(self.stage.url + "overview")
                    ask(self.stage.url, BROWSER_ACCEPT)
                time.sleep(0.2)
            return commands() - before
        alone, crowded = during(10, 0), during(10, 20)
        expect(alone > 0 and crowded <= alone * 1.5 + 4, f"{alone} commands alone, {crowded} with twenty pages")

    def away(self):
        """While Redis is away the page says so, at once and in words."""
        browser = self.browser()
        try:
            self.open(browser)
            self.stage.server.kill()
            self.stage.server.wait()
            browser.wait("unhealthy", "return document.getElementById('status').textContent === 'Unhealthy'", 30)
            browser.wait("it is told to those who listen", "return document.getElementById('announce').textContent.startsWith('Unhealthy')")
            expect("redis_" in browser.text("#reasons"), browser.text("#reasons"))
            for width, dark in SCREENS:
                browser.screen(width, dark)
                self.narrow(browser)
                poor = [one for one in browser.run(CONTRAST) if one["kind"] == "text" and one["ratio"] < TEXT_CONTRAST]
                expect(not poor, f"{poor}")
                self.picture(browser, f"away-{'dark' if dark else 'light'}-{width}")
            self.stage.start_redis()
            browser.wait("it is back", "return document.getElementById('status').textContent !== 'Unhealthy'", 60)
            self.quiet(browser)
        finally:
            browser.close()

    def locked(self):
        """Without API_KEY there is no field for one, and the page says what to set."""
        folder = os.path.join(self.options.folder, "locked")
        stage = Stage(self.options.weir, self.options.redis, folder, key=None)
        try:
            browser = self.browser()
            try:
                self.open(browser, stage.url)
                expect("Set API_KEY" in browser.text("#letters-note"), "the hint")
                expect(browser.text("#unlock") == "", "no field")
                expect(browser.text("#status") == "Healthy", browser.text("#status"))
                self.picture(browser, "healthy-light-1280")
                browser.screen(360, True)
                self.picture(browser, "healthy-dark-360")
                self.quiet(browser)
            finally:
                browser.close()
        finally:
            stage.close()


ALL = ["headers", "plain", "screens", "same", "hostile", "follows", "keyboard", "paused", "letters", "many", "away", "locked"]


def main():
    parser = argparse.ArgumentParser()
    for name in ("weir", "redis", "chromium", "chromedriver", "pictures"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("checks", nargs="*", default=[], metavar="CHECK", help=", ".join(ALL))
    options = parser.parse_args()
    unknown = [name for name in options.checks if name not in ALL]
    if unknown:
        print(f"test-page: no such check: {', '.join(unknown)}; there are {', '.join(ALL)}", file=sys.stderr)
        return 64
    shutil.rmtree(options.pictures, ignore_errors=True)
    os.makedirs(options.pictures)
    options.folder = tempfile.mkdtemp(prefix="weir-page-")
    failures = 0
    driver = stage = None
    try:
        driver = Driver(options.chromedriver, options.chromium)
        stage = Stage(options.weir, options.redis, os.path.join(options.folder, "stage"))
        stage.furnish()
        checks = Checks(options, driver, stage)
        for name in options.checks or ALL:
            check = getattr(checks, name)
            began = time.monotonic()
            try:
                check()
                print(f"ok    {name:9} {time.monotonic() - began:5.1f} s  {check.__doc__}", flush=True)
            except Exception as error:  # noqa: BLE001 - every failure is shown, and the next check runs
                failures += 1
                print(f"FAIL  {name:9} {time.monotonic() - began:5.1f} s  {check.__doc__}\n      {error}", flush=True)
                if not isinstance(error, AssertionError):
                    traceback.print_exc()
        with open(stage.log, encoding="utf-8") as log:
            if "panicked" in log.read():
                failures += 1
                print("FAIL  weir has panicked", flush=True)
    finally:
        for part in (stage, driver):
            if part:
                part.close()
        shutil.rmtree(options.folder, ignore_errors=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
