"""A real Chromium for tests, driven through its DevTools pipe: no driver, no port, no socket."""

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Without these it looks for hosts of its maker, and as root it does not start.
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-extensions", "--disable-dev-shm-usage", "--hide-scrollbars",
    "--remote-debugging-pipe",
)  # fmt: skip


def found():
    """The path of a Chromium on this machine, or None."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


class Browser:
    """One page in one Chromium; `events` holds all that it told, each with `method` and `params`."""

    def __init__(self, timeout=60):
        self.timeout, self.events, self._number, self._rest = timeout, [], 0, b""
        self._home = tempfile.mkdtemp(prefix="classifine-chromium-")
        theirs, self._out = os.pipe()
        self._in, given = os.pipe()
        # Chromium reads file descriptor 3 and writes 4.
        line = f'exec "$0" "$@" 3<&{theirs} 4>&{given}'
        call = ["bash", "-c", line, found(), *FLAGS, f"--user-data-dir={self._home}", "about:blank"]
        self._process = subprocess.Popen(
            call, pass_fds=(theirs, given), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(theirs)
        os.close(given)
        self._session = None
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._process.kill()
        self._process.wait()
        os.close(self._out)
        os.close(self._in)
        shutil.rmtree(self._home, ignore_errors=True)

    def ask(self, method, **params):
        """What Chromium answers to a command; RuntimeError where it refuses."""
        self._number += 1
        call = {"id": self._number, "method": method, "params": params}
        if self._session:
            call["sessionId"] = self._session
        os.write(self._out, json.dumps(call).encode() + b"\0")
        while True:
            told = self._next()
            if told.get("id") == self._number:
                if "error" in told:
                    raise RuntimeError(f"{method}: {told['error']['message']}")
                return told["result"]
            self.events.append(told)

    def _next(self):
        end = time.monotonic() + self.timeout
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._in], [], [], max(0, end - time.monotonic()))
            more = os.read(self._in, 1 << 20) if ready else b""
            if not more:
                raise TimeoutError("Chromium does not answer.")
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\0")
        return json.loads(line)

    def open(self, path):
        """Load a file, to the end of its scripts."""
        before = len(self.events)
        self.ask("Page.navigate", url=Path(path).absolute().as_uri())
        while not any(one.get("method") == "Page.loadEventFired" for one in self.events[before:]):
            self.events.append(self._next())

    def value(self, script):
        """The value of a JavaScript expression, a promise awaited."""
        told = self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in told:
            raise RuntimeError(json.dumps(told["exceptionDetails"])[:500])
        return told["result"].get("value")

    def press(self, key, code=0, text=""):
        """Press a key where the focus is."""
        for kind in ("keyDown", "keyUp"):
            typed = {"text": text} if text and kind == "keyDown" else {}
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **typed)

    def type(self, text):
        """Type a text where the focus is."""
        self.ask("Input.insertText", text=text)

    def window(self, width, height=900, dark=False, phone=False):
        """Give the page this width (CSS pixels), as a phone or not, and a colour scheme."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.ask("Emulation.setEmulatedMedia", features=scheme)

    def picture(self, file):
        """A picture of the whole page."""
        told = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        Path(file).write_bytes(base64.b64decode(told["data"]))

    def paper(self, file):
        """The page as PDF."""
        Path(file).write_bytes(base64.b64decode(self.ask("Page.printToPDF", printBackground=True)["data"]))

    def told(self, *methods):
        """The params of all events of these methods."""
        return [one["params"] for one in self.events if one.get("method") in methods]
