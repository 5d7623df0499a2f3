"""Two applications as Debian ships them: where they are, how they are configured, and how a visitor works with them.

Their links to configuration below /etc lead to the test's own directory; nothing else of them is touched.
"""
import os
import re
import shutil
import sqlite3
import subprocess

PASSWORD = "open-sesame-123"


def link(path, target):
    os.remove(path)
    os.symlink(target, path)


class Application:
    name = None
    index = "index.php"
    # The cookie's name in the site's configuration, and what the site says of it.
    cookie = "session"
    settings = ""
    # A page that only somebody who is signed in sees, with this text on it.
    private_path = None
    private_text = None
    # More of nginx's server.
    nginx = ""
    # On the page for everybody else.
    login_text = None

    def __init__(self, packages, directory):
        """Unpacked packages; a directory for configuration and data."""
        self.packages = packages
        self.directory = directory
        self.host = f"{self.name}.test"
        self.root = os.path.join(packages, self.root_in_package)
        os.makedirs(directory)
        self.configure()

    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, text):
        with open(self.path(name), "w") as file:
            file.write(text)
        return self.path(name)

    def url(self, stack, path):
        return f"http://{self.host}:{stack.port}{path}"


class PHPLiteAdmin(Application):
    """Keeps its sign-in, its tokens and its messages in the session; signs in with the id that the visitor has."""
    name = "phpliteadmin"
    root_in_package = "usr/share/phpliteadmin"
    index = "phpliteadmin.php"
    private_path = "/phpliteadmin.php?table=notes&action=row_view"
    private_text = "ledger.sqlite"
    login_text = "Password:"

    def configure(self):
        self.nginx = f"location /javascript/ {{ alias {self.packages}/usr/share/javascript/; }}"
        os.makedirs(self.path("databases"))
        with sqlite3.connect(self.path("databases/ledger.sqlite")) as database:
            database.execute("CREATE TABLE notes (number INTEGER, text TEXT)")
        link(os.path.join(self.root, "phpliteadmin.config.php"), self.write(
            "phpliteadmin.config.php", f"<?php\n$password = '{PASSWORD}';\n$directory = '{self.path('databases')}';\n"))

    is_prepared = True

    def prepare(self, browser, stack):
        pass

    def log_in(self, browser, stack):
        browser.open(self.url(stack, "/"))
        browser.fill("input[name=password]", PASSWORD)
        # Ticked, it would be a cookie of the application's own that signs in, without any session.
        if browser.elements("input[name=remember]:checked"):
            browser.click("input[name=remember]")
        browser.submit("input[type=submit]")

    def change(self, browser, stack, number):
        """Its next page says what has been done: the message is in the session."""
        browser.open(self.url(stack, "/phpliteadmin.php?table=notes&action=row_create"))
        browser.fill("input[name='0:0']", str(number))
        browser.fill("textarea[name='0:1']", f"note {number}")
        browser.submit("#main_column form[method=post] input[type=submit]")
        return "1 row(s) inserted" in browser.text

    def changes(self):
        with sqlite3.connect(self.path("databases/ledger.sqlite")) as database:
            return [row[0] for row in database.execute("SELECT number FROM notes ORDER BY number")]

    def log_out(self, browser, stack):
        browser.submit("input[name=logout]")


class PostfixAdmin(Application):
    """Keeps the visitor's name, role and messages in the session; signs in with a new id."""
    name = "postfixadmin"
    root_in_package = "usr/share/postfixadmin/public"
    cookie = "postfixadmin_session"
    settings = "    cookie: {name: postfixadmin_session}\n"
    private_path = "/list.php?table=domain"
    private_text = "Domain List"
    login_text = "Login (email)"
    # A database as its set-up page leaves it.
    prepared = None

    def configure(self):
        # As Debian's dbconfig writes it.
        etc = os.path.join(self.packages, "etc/postfixadmin")
        with open(os.path.join(etc, "dbconfig.inc.php"), "w") as file:
            file.write(f"<?php\n$dbuser='';\n$dbpass='';\n$basepath='';\n$dbname='{self.path('postfixadmin.sqlite')}';\n"
                       "$dbserver='';\n$dbport='';\n$dbtype='sqlite';\n")
        link(os.path.join(self.root, "../config.inc.php"), os.path.join(etc, "config.inc.php"))
        hashed = subprocess.run(["php", "-n", "-r", f"echo password_hash('{PASSWORD}', PASSWORD_DEFAULT);"],
                                check=True, capture_output=True, text=True).stdout
        local = os.path.join(etc, "config.local.php")
        with open(local, "w") as file:
            file.write(f"<?php\n$CONF['setup_password'] = '{hashed}';\n$CONF['emailcheck_resolve_domain'] = 'NO';\n")
        link(os.path.join(self.root, "../config.local.php"), local)
        # It wants the file to be there, were it empty.
        shutil.copy(PostfixAdmin.prepared or os.devnull, self.path("postfixadmin.sqlite"))
        os.makedirs(self.path("templates_c"))
        link(os.path.join(self.root, "../templates_c"), self.path("templates_c"))

    @property
    def is_prepared(self):
        return os.path.getsize(self.path("postfixadmin.sqlite")) > 0

    def prepare(self, browser, stack):
        """Its own set-up page makes the tables and the first administrator, the first time."""
        if self.is_prepared:
            return
        browser.open(self.url(stack, "/setup.php"))
        browser.fill("form[name=authenticate] input[name=setup_password]", PASSWORD)
        browser.submit("form[name=authenticate] button")
        form = "form[name=create_admin]"
        browser.fill(f"{form} input[name=setup_password]", PASSWORD)
        browser.fill(f"{form} input[name=username]", "root@example.org")
        browser.fill(f"{form} input[name=password]", PASSWORD)
        browser.fill(f"{form} input[name=password2]", PASSWORD)
        browser.submit(f"{form} button")
        assert "You are done with your basic setup" in browser.text, browser.text[-1500:]
        shutil.copy(self.path("postfixadmin.sqlite"), self.path("prepared.sqlite"))
        PostfixAdmin.prepared = self.path("prepared.sqlite")

    def log_in(self, browser, stack):
        browser.open(self.url(stack, "/login.php"))
        self.sign_in(browser)

    def sign_in(self, browser):
        browser.fill("input[name=fUsername]", "root@example.org")
        browser.fill("input[name=fPassword]", PASSWORD)
        browser.submit("button[type=submit]")

    def change(self, browser, stack, number):
        browser.open(self.url(stack, "/edit.php?table=domain"))
        browser.fill("input[name='value[domain]']", f"number{number}.example.org")
        browser.submit("input[type=submit]")
        return f"number{number}.example.org" in browser.text and "has been added" in browser.text

    def changes(self):
        with sqlite3.connect(self.path("postfixadmin.sqlite")) as database:
            rows = database.execute("SELECT domain FROM domain WHERE domain LIKE 'number%'").fetchall()
        return sorted(int(re.search(r"\d+", row[0]).group()) for row in rows)

    def log_out(self, browser, stack):
        browser.submit("a[href='login.php']")
