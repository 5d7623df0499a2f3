"""A headless Chromium behind chromedriver, by the W3C's WebDriver protocol: what the tests need of it."""
import http.client
import json
import os
import time

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


class WebDriverError(Exception):
    pass


class Driver:
    """chromedriver, which runs already."""

    def __init__(self, port):
        self.port = port

    def call(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, None if method != "POST" else json.dumps(body or {}))
            answer = json.loads(connection.getresponse().read())["value"]
        finally:
            connection.close()
        if isinstance(answer, dict) and "error" in answer:
            raise WebDriverError(f"{answer['error']}: {answer['message'].splitlines()[0] if answer['message'] else ''}")
        return answer


class Browser:
    """A browser with a profile of its own."""

    def __init__(self, driver, profile):
        arguments = [
            "--headless=new", f"--user-data-dir={profile}", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1200,900",
            # The sites' names are here, and nothing else is anywhere.
            "--host-resolver-rules=MAP *.test 127.0.0.1,MAP * ~NOTFOUND,EXCLUDE 127.0.0.1",
        ]
        if os.geteuid() == 0:
            arguments.append("--no-sandbox")
        self.driver = driver
        session = driver.call("POST", "/session", {"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": {"args": arguments},
            "timeouts": {"pageLoad": 30000, "implicit": 5000},
        }}})
        self.path = f"/session/{session['sessionId']}"

    def call(self, method, path, **body):
        return self.driver.call(method, self.path + path, body)

    def close(self):
        self.driver.call("DELETE", self.path)

    def open(self, url):
        self.call("POST", "/url", url=url)

    def back(self):
        self.call("POST", "/back")

    @property
    def url(self):
        return self.call("GET", "/url")

    @property
    def text(self):
        """What the visitor sees of the page."""
        return self.call("POST", "/execute/sync", script="return document.body ? document.body.innerText : ''", args=[])

    def element(self, selector):
        return self.call("POST", "/element", using="css selector", value=selector)[ELEMENT]

    def elements(self, selector):
        self.call("POST", "/timeouts", implicit=0)
        try:
            return [found[ELEMENT] for found in self.call("POST", "/elements", using="css selector", value=selector)]
        finally:
            self.call("POST", "/timeouts", implicit=5000)

    def click(self, selector):
        self.call("POST", f"/element/{self.element(selector)}/click")

    def submit(self, selector):
        """Clicks what leads to another page, and waits for that: a click alone may return before the old one is left."""
        self.call("POST", "/execute/sync", script="window.isLeft = false", args=[])
        self.click(selector)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                if self.call("POST", "/execute/sync", args=[],
                             script="return window.isLeft === undefined && document.readyState === 'complete'"):
                    return
            except WebDriverError:
                pass  # Between two pages there is none to ask.
            time.sleep(0.02)

    def fill(self, selector, text):
        element = self.element(selector)
        self.call("POST", f"/element/{element}/clear")
        self.call("POST", f"/element/{element}/value", text=text)

    def value(self, selector):
        return self.call("GET", f"/element/{self.element(selector)}/property/value")

    def cookie(self, name):
        """Also one that scripts of the page cannot read."""
        return next((cookie["value"] for cookie in self.call("GET", "/cookie") if cookie["name"] == name), None)

    def set_cookie(self, name, value):
        self.call("DELETE", f"/cookie/{name}")
        self.call("POST", "/cookie", cookie={"name": name, "value": value, "path": "/", "httpOnly": True})
