"""Drives headless Chromium for the tests: one JSON command a line on standard input, one JSON answer a line on standard output."""

import json
import os
import queue
import sys
import threading
import traceback
from urllib.parse import urlsplit

import axe_playwright_python
import playwright.sync_api
from playwright.sync_api import sync_playwright

FLAGS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]
AXE = os.path.join(os.path.dirname(axe_playwright_python.__file__), "axe.min.js")


# Answers as the server does, with more in it. In the page rather than between it and the server: no word of ours is waited for.
ADDING = """
(() => {
    const additions = %s, ask = window.fetch;
    window.fetch = async (...request) => {
        const reply = await ask(...request), more = additions[new URL(reply.url).pathname];
        if (!more || reply.status !== 200) return reply;
        const { each_stream: each = {}, ...rest } = more, document = Object.assign(await reply.json(), rest);
        for (const stream of document.streams ?? []) Object.assign(stream, each[stream.name]);
        return new Response(JSON.stringify(document), { headers: reply.headers });
    };
})();
"""


class Driver:
    def __init__(self, chromium):
        self.chromium = chromium
        self.page = None
        self.session = None
        self.troubles = []
        self.requests = []

    def said(self, message):
        """Notes what the page complains of. Where other tests come and go with network interfaces, Chromium gives up what is under way."""
        if message.type in ("error", "warning") and "net::ERR_NETWORK_CHANGED" not in message.text:
            self.troubles.append("console: " + message.text)

    def next(self, commands):
        """The next command. Until it comes, the page's requests are answered."""
        while True:
            try:
                return commands.get(block=self.page is None)
            except queue.Empty:
                self.page.wait_for_timeout(5)

    def open(self, url, width, height, scheme, bypass_csp, merge):
        """A page in a context of its own. `merge`: by path, what is added to JSON answers."""
        self.close()
        context = self.chromium.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, bypass_csp=bypass_csp)
        self.page = page = context.new_page()
        self.session = None
        self.requests = []
        origin = urlsplit(url).netloc

        def asked(request):
            parts = urlsplit(request.url)
            if parts.scheme in ("http", "https", "ws", "wss"):
                self.requests.append(parts.path)
                if parts.netloc != origin:
                    self.troubles.append("request to " + parts.netloc)

        page.on("request", asked)
        page.on("console", self.said)
        page.on("pageerror", lambda error: self.troubles.append(f"error: {error.stack or error}"))
        if merge:
            page.add_init_script(ADDING % json.dumps(merge))
        for attempt in range(10):
            try:
                page.goto(url)
                break
            except playwright.sync_api.Error as error:
                if attempt == 9 or "net::ERR_NETWORK_CHANGED" not in error.message:
                    raise

    def reload(self):
        self.page.reload()

    def close(self):
        if self.page:
            self.page.context.close()
            self.page = None

    def forget(self):
        """As if nothing had been open yet."""
        self.close()
        self.troubles = []
        self.requests = []

    def eval(self, script):
        return self.page.evaluate(script)

    def press(self, keys):
        for key in keys:
            self.page.keyboard.press(key)

    def type(self, text):
        self.page.keyboard.type(text)

    def click(self, selector):
        self.page.locator(selector).first.click()

    def select(self, selector, value):
        self.page.locator(selector).select_option(value)

    def picture(self, path, whole=False):
        self.page.screenshot(path=path, full_page=whole)

    def axe(self):
        """Broken rules, each with where."""
        with open(AXE, encoding="utf-8") as source:
            self.page.evaluate(source.read())
        found = self.page.evaluate("axe.run()")
        return [f"{v['id']}: {v['help']}: {[n['target'] for n in v['nodes'][:5]]}" for v in found["violations"]]

    def figures(self):
        """Processor time of the page's main thread by kind, in seconds."""
        if not self.session:
            self.session = self.page.context.new_cdp_session(self.page)
            self.session.send("Performance.enable", {"timeDomain": "threadTicks"})
        return {m["name"]: m["value"] for m in self.session.send("Performance.getMetrics")["metrics"]}

    def seen(self):
        return {"troubles": self.troubles, "requests": self.requests}


def read(commands):
    for line in sys.stdin:
        commands.put(line)
    commands.put(None)


def main():
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=sys.argv[1], args=FLAGS)
        driver = Driver(chromium)
        commands = queue.Queue()
        threading.Thread(target=read, args=[commands], daemon=True).start()
        while (line := driver.next(commands)) is not None:
            command = json.loads(line)
            try:
                answer = {"ok": getattr(driver, command.pop("do"))(**command)}
            except Exception:
                answer = {"error": traceback.format_exc()}
            print(json.dumps(answer), flush=True)
        driver.close()
        chromium.close()


main()
