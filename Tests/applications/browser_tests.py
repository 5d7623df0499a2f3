#!/usr/bin/env python3
"""See Tests/applications/run, which starts this."""
import argparse
import os
import signal
import subprocess
import sys
import time
import traceback
import urllib.parse

sys.dont_write_bytecode = True
from applications import PHPLiteAdmin, PostfixAdmin  # noqa: E402
from stack import Server, Stack, eventually, find, unused_port  # noqa: E402
from webdriver import Browser, Driver  # noqa: E402


class Visit:
    """One visitor of one application, with a browser of its own."""

    def __init__(self, run, stack, application):
        self.stack = stack
        self.application = stack.sites[application.name]
        stack.restore()
        self.log = stack.log_length()
        self.changes = len(self.application.changes()) if self.application.is_prepared else 0
        self.browser = Browser(run.driver, run.place("profile"))

    def __enter__(self):
        try:
            self.application.prepare(self.browser, self.stack)
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, kind, error, _):
        if error is not None:
            try:
                print(f"at {self.browser.url}:\n{self.browser.text[:1500]}")
            except Exception:
                traceback.print_exc()
            print(self.stack.logs())
        self.browser.close()

    # ---------------------------------------------------------------- What the visitor does

    @property
    def id(self):
        return self.browser.cookie(self.application.cookie)

    def open_private_page(self):
        self.browser.open(self.application.url(self.stack, self.application.private_path))

    def is_signed_in(self):
        self.open_private_page()
        return self.shows_private_page()

    def shows_private_page(self):
        return self.application.private_text in self.browser.text

    def is_asked_to_sign_in(self):
        self.open_private_page()
        return not self.shows_private_page() and self.application.login_text in self.browser.text

    def log_in(self):
        assert self.is_asked_to_sign_in(), "the private page is not private"
        self.application.log_in(self.browser, self.stack)
        assert self.is_signed_in(), "signed in, the private page does not show"

    def change(self):
        self.changes += 1
        assert self.application.change(self.browser, self.stack, self.changes), "the change was not confirmed"
        assert self.application.changes() == list(range(1, self.changes + 1)), "a change is not there"

    def log_out(self):
        """Signs out, goes back through the history, and comes again with the cookie of before."""
        assert self.is_signed_in()
        old = self.id
        assert self.opens_private_page(old), "the cookie alone does not show the private page"
        self.application.log_out(self.browser, self.stack)
        assert not self.shows_private_page(), "signed out, the page is still private"
        for step in range(3):
            self.browser.back()
            assert not self.shows_private_page(), f"{step + 1} pages back there is a private page"
        assert self.is_asked_to_sign_in(), "signed out, the private page shows"
        assert self.id != old, "the browser has the old cookie"
        assert not self.opens_private_page(old), "the old cookie shows the private page"
        self.browser.set_cookie(self.application.cookie, old)
        assert self.is_asked_to_sign_in(), "the old cookie shows the private page in the browser"

    def opens_private_page(self, session_id):
        """Whether somebody who has only the id gets the page."""
        body = self.stack.request(self.application, self.application.private_path, cookie=session_id)
        return self.application.private_text in body

    def verify_that_php_kept_nothing(self):
        assert os.listdir(self.stack.path("sessions")) == [], "PHP has sessions of its own"
        outcomes = self.stack.outcomes(self.log)
        assert outcomes.get("saved", 0) > 0, f"nothing went through the gateway: {outcomes}"


# -------------------------------------------------------------------- The tests

def with_the_store_flushed_the_login_is_gone(visit):
    """What shows that the other tests can fail."""
    visit.log_in()
    visit.change()
    assert visit.is_signed_in()
    visit.stack.flush_memcacheds()
    eventually("signed out", visit.is_asked_to_sign_in)
    # And it works on.
    eventually("the memcacheds are ready", visit.stack.are_known)
    visit.log_in()
    visit.change()
    visit.verify_that_php_kept_nothing()


def a_visitor_stays_signed_in_while_memcacheds_die(visit):
    stack = visit.stack
    visit.log_in()
    visit.change()
    # Those that have the session, so that it matters.
    first, second = stack.holders(visit.application.name, visit.id)
    stack.kill_memcached(first)
    assert visit.is_signed_in(), "signed out as a memcached died"
    visit.change()
    stack.start_memcached(first)
    eventually("the memcached that was away is complete", stack.are_complete, 60)
    stack.kill_memcached(second)
    stack.start_memcached(second)
    assert visit.is_signed_in(), "signed out as a memcached was restarted"
    visit.change()
    visit.log_out()
    visit.verify_that_php_kept_nothing()


def a_sign_in_with_a_new_id_changes_the_cookie(visit):
    browser, stack = visit.browser, visit.stack
    visit.open_private_page()
    before = visit.id
    assert before, "the sign-in page has no session"

    def answer(token):
        """What its sign-in says to a wrong password that comes with the id of before and a token of its session."""
        form = {"fUsername": "root@example.org", "fPassword": "wrong", "lang": "en", "token": token}
        return stack.request(visit.application, "/login.php", before, urllib.parse.urlencode(form))

    # The id is alive: its token counts.
    body = answer(browser.value("input[name=token]"))
    assert "password is not correct" in body, body
    browser.open(visit.application.url(stack, "/login.php"))
    before = visit.id
    token = browser.value("input[name=token]")
    visit.application.sign_in(browser)
    assert visit.is_signed_in()
    assert visit.id != before, "signed in with the id of before"
    assert visit.opens_private_page(visit.id)
    assert not visit.opens_private_page(before), "the id of before is signed in"
    body = answer(token)
    assert "session timeout" in body, body
    assert stack.outcomes(visit.log).get("moved", 0) > 0


def a_visitor_stays_signed_in_while_a_gateway_dies(visit):
    stack = visit.stack
    visit.log_in()
    visit.change()
    for _ in range(4):
        assert visit.is_signed_in()
    used = {server for server in ("gateway-0.sock", "gateway-1.sock") if server in stack.access_log(visit.log)}
    assert len(used) == 2, f"requests went to {used} alone"
    for dead in (0, 1):
        stack.kill_gateway(dead)
        for _ in range(4):
            assert visit.is_signed_in(), f"signed out as gateway {dead} died"
        visit.change()
        if dead == 0:
            stack.start_gateway(dead)
    visit.log_out()
    visit.verify_that_php_kept_nothing()


# Each list of tests goes over both applications, on one stack with that many gateways.
TESTS = {
    1: [with_the_store_flushed_the_login_is_gone, a_visitor_stays_signed_in_while_memcacheds_die,
        a_sign_in_with_a_new_id_changes_the_cookie],
    2: [a_visitor_stays_signed_in_while_a_gateway_dies],
}
# It signs in with the id that the visitor has.
EXCEPTIONS = [(PHPLiteAdmin, a_sign_in_with_a_new_id_changes_the_cookie)]


class Run:
    def __init__(self, directory, gateway):
        self.directory = directory
        self.gateway = gateway
        self.packages = os.path.join(directory, "root")
        port = unused_port()
        # What browsers write into their home goes with the directory.
        environment = dict(os.environ, HOME=self.place("home"), XDG_CONFIG_HOME=self.place("config"),
                           XDG_CACHE_HOME=self.place("cache"))
        self.chromedriver = Server([find("chromedriver"), f"--port={port}"], os.path.join(directory, "chromedriver.log"),
                                   ("127.0.0.1", port), environment=environment)
        self.driver = Driver(port)

    def place(self, name):
        """A directory that is not there yet."""
        path = os.path.join(self.directory, name)
        number = 1
        while os.path.exists(path):
            number += 1
            path = os.path.join(self.directory, f"{name}-{number}")
        os.makedirs(path)
        return path

    def stack(self, gateways):
        place = self.place(f"gateways-{gateways}")
        sites = {application.name: application(self.packages, os.path.join(place, application.name))
                 for application in (PHPLiteAdmin, PostfixAdmin)}
        return Stack(place, self.gateway, sites, gateways)

    def is_unmodified(self):
        """Whether the applications are as their packages say."""
        return subprocess.run(["md5sum", "--check", "--quiet", "--strict", os.path.join(self.directory, "md5sums")],
                              cwd=self.packages).returncode == 0


def name_of(application, test):
    return f"{application.name}: {test.__name__.replace('_', ' ')}"


def main():
    parser = argparse.ArgumentParser(prog="Tests/applications/run")
    parser.add_argument("--directory", required=True, help="with the packages unpacked in root, and md5sums")
    parser.add_argument("--gateway", required=True, help="the gateway's executable")
    parser.add_argument("--only", default="", help="tests whose names contain this")
    parser.add_argument("--keep", action="store_true", help="leave the directory")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    passed = failed = 0
    run = Run(options.directory, options.gateway)
    try:
        for gateways, tests in TESTS.items():
            chosen = [(application, test) for application in (PHPLiteAdmin, PostfixAdmin) for test in tests
                      if (application, test) not in EXCEPTIONS and options.only in name_of(application, test)]
            if not chosen:
                continue
            with run.stack(gateways) as stack:
                for application, test in chosen:
                    start = time.monotonic()
                    try:
                        with Visit(run, stack, application) as visit:
                            test(visit)
                        assert run.is_unmodified(), "the application is not as its package says"
                    except Exception:
                        traceback.print_exc(file=sys.stdout)
                        failed += 1
                        word = "FAILED"
                    else:
                        passed += 1
                        word = "passed"
                    print(f"{word} {name_of(application, test)} after {time.monotonic() - start:.1f} s", flush=True)
    except Exception:
        traceback.print_exc(file=sys.stdout)
        failed += 1
    finally:
        run.chromedriver.stop()
    print(f"{passed} passed, {failed} failed")
    sys.exit(0 if passed and not failed else 1)


if __name__ == "__main__":
    main()
