"""nginx, gateways, three memcacheds, php-fpm and chromedriver, in one directory."""
import base64
import hashlib
import http.client
import os
import re
import socket
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "Benchmarks"))
from benchmark import Server, find, unused_port  # noqa: E402

USER = "user = root\ngroup = root\n" if os.geteuid() == 0 else ""
# Milliseconds on a machine with nothing else to do; here Chromium is.
PATIENCE = "    connect_timeout: 2s\n    operation_timeout: 2s\n    load_timeout: 2s\n"


def eventually(what, condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"within {seconds} s: {what}")
        time.sleep(0.1)


class Stack:
    """The document roots of the sites, by the sites' names, which are host names too: `NAME.test`."""

    def __init__(self, directory, gateway, sites, gateways):
        self.directory = directory
        self.executable = gateway
        self.sites = sites
        self.memcached_ports = [unused_port() for _ in range(3)]
        self.memcacheds = [None] * 3
        self.gateways = [None] * gateways
        self.others = []
        self.port = unused_port()
        os.makedirs(self.path("sessions"), 0o700)
        try:
            for number in range(3):
                self.start_memcached(number)
            self.start_php()
            for number in range(gateways):
                self.start_gateway(number)
            self.start_nginx()
            eventually("the memcacheds are ready", self.are_known)
        except BaseException:
            self.stop()
            raise

    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, text):
        with open(self.path(name), "w") as file:
            file.write(text)
        return self.path(name)

    def read(self, name):
        try:
            with open(self.path(name), errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def restore(self):
        """Everything runs, and nothing is missing."""
        for number in range(3):
            if self.memcacheds[number] is None:
                self.start_memcached(number)
        for number, gateway in enumerate(self.gateways):
            if gateway is None:
                self.start_gateway(number)
        eventually("the memcacheds are complete", self.are_complete, 60)

    def stop(self):
        for server in self.others[::-1] + self.gateways + self.memcacheds:
            if server is not None:
                server.stop()

    # ---------------------------------------------------------------- memcached

    def start_memcached(self, number):
        port = self.memcached_ports[number]
        user = ["-u", "root"] if os.geteuid() == 0 else []
        self.memcacheds[number] = Server([find("memcached"), "-l", "127.0.0.1", "-p", str(port), "-U", "0", *user],
                                         self.path("memcached.log"), ("127.0.0.1", port))

    def kill_memcached(self, number):
        self.memcacheds[number].process.kill()
        self.memcacheds[number].stop()
        self.memcacheds[number] = None

    def ask_memcached(self, number, line, end=b"\r\n"):
        with socket.create_connection(("127.0.0.1", self.memcached_ports[number]), 5) as client:
            client.sendall(line.encode() + b"\r\n")
            answer = b""
            while not answer.endswith(end):
                piece = client.recv(4096)
                if not piece:
                    break
                answer += piece
            return answer.decode()

    def flush_memcacheds(self):
        for number in range(3):
            assert self.ask_memcached(number, "flush_all") == "OK\r\n"

    def holders(self, site, session_id):
        """The memcacheds that hold a copy of a session."""
        key = base64.urlsafe_b64encode(hashlib.sha256(session_id.encode()).digest()).decode().rstrip("=")
        return [number for number in range(3) if self.memcacheds[number] is not None
                and self.ask_memcached(number, f"mg sg:{site}:{key}").startswith("HD")]

    def are_known(self):
        """Whether every memcached has its marker: none has forgotten."""
        return all(self.ask_memcached(number, f"mg sg:{site}!life").startswith("HD")
                   for number in range(3) for site in self.sites)

    def are_complete(self):
        """Whether every session has all of its copies, as an administrator would ask."""
        return self.are_known() and all(
            subprocess.run([self.executable, "verify", "--config", self.path("gateway-0.yaml"), "--site", site],
                           stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
            for site in self.sites)

    # ---------------------------------------------------------------- gateways

    def start_gateway(self, number):
        servers = ", ".join(f"127.0.0.1:{port}" for port in self.memcached_ports)
        text = (f"listen: unix:{self.path(f'gateway-{number}.sock')}\nlate_socket: {self.path(f'late-{number}.sock')}\n"
                f"state_directory: {self.path(f'state-{number}')}\nsites:\n")
        for site in self.sites.values():
            text += (f"  {site.name}:\n    servers: [{servers}]\n{PATIENCE}    adapter: php\n"
                     f"    adapter_file: {ROOT}/Adapters/php/session-gateway.php\n"
                     f"    ignore: '\\.(css|js|png|ico|woff2?)$'\n{site.settings}"
                     f"    backend:\n      fastcgi: unix:{self.path('php.sock')}\n      connections: 2\n"
                     f"      root: {site.root}\n")
        self.gateways[number] = Server(
            [self.executable, "run", "--config", self.write(f"gateway-{number}.yaml", text)],
            self.path(f"gateway-{number}.log"), self.path(f"gateway-{number}.sock"))

    def kill_gateway(self, number):
        self.gateways[number].process.kill()
        self.gateways[number].stop()
        self.gateways[number] = None

    # ---------------------------------------------------------------- php-fpm and nginx

    def start_php(self):
        # Debian's own php.ini and extensions. PHP's sessions would go to a directory that has to stay empty.
        configuration = self.write(
            "php.conf",
            f"[global]\ndaemonize = no\nerror_log = {self.path('php.log')}\n[www]\n{USER}listen = {self.path('php.sock')}\n"
            "pm = static\npm.max_children = 9\ncatch_workers_output = yes\n"
            f"php_value[session.save_path] = {self.path('sessions')}\nphp_admin_flag[log_errors] = on\n")
        root = ["--allow-to-run-as-root"] if os.geteuid() == 0 else []
        self.others.append(Server([find("php-fpm8.2", "php-fpm"), "--nodaemonize", "--fpm-config", configuration, *root],
                                  self.path("php.out"), self.path("php.sock"), "TERM"))

    def start_nginx(self):
        with open(os.path.join(ROOT, "nginx/session-gateway.conf")) as file:
            upstream = file.read()
        line = "server unix:/run/session-gateway/gateway.sock max_fails=0;"
        assert line in upstream
        # Which gateway answered is in the log too.
        upstream = upstream.replace("session=$upstream", "gateway=$upstream_addr session=$upstream")
        upstream = upstream.replace(line, " ".join(
            f"server unix:{self.path(f'gateway-{number}.sock')} max_fails=0;" for number in range(len(self.gateways))))
        with open(os.path.join(ROOT, "nginx/session-gateway-params.conf")) as file:
            parameters = file.read().replace("include fastcgi_params;", "include /etc/nginx/fastcgi_params;")
        temporary = " ".join(f"{name}_temp_path {self.path(f'nginx-{name}')};"
                             for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        servers = "".join(
            f"server {{ listen 127.0.0.1:{self.port}; server_name {site.host}; root {site.root}; index {site.index};\n"
            f"location / {{ try_files $uri $uri/ =404; }}\n{site.nginx}\n"
            f"location ~ \\.php$ {{ try_files $uri =404;\n{parameters}\nfastcgi_param SESSION_SITE {site.name};\n"
            # Debian's fastcgi_params leave the port out.
            f"fastcgi_param HTTP_HOST $host:$server_port;\nfastcgi_pass session_gateway; }} }}\n"
            for site in self.sites.values())
        user = "user root root;" if os.geteuid() == 0 else ""
        configuration = self.write(
            "nginx.conf",
            f"{user} daemon off; pid {self.path('nginx.pid')}; error_log {self.path('nginx.errors')}; events {{}}\n"
            f"http {{ include /etc/nginx/mime.types; {temporary}\n{upstream}\n"
            f"access_log {self.path('access.log')} session_gateway;\n{servers}}}\n")
        self.others.append(Server([find("nginx"), "-p", self.directory, "-e", self.path("nginx.errors"), "-c", configuration],
                                  self.path("nginx.out"), ("127.0.0.1", self.port), "TERM"))

    # ---------------------------------------------------------------- Requests beside the browser

    def request(self, site, path, cookie=None, form=None):
        """The body that somebody gets who has nothing but this cookie."""
        headers = {"Host": site.host}
        if cookie is not None:
            headers["Cookie"] = f"{site.cookie}={cookie}"
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET" if form is None else "POST", path, form, headers)
            return connection.getresponse().read().decode(errors="replace")
        finally:
            connection.close()

    def log_length(self):
        return len(self.read("access.log"))

    def access_log(self, since):
        return self.read("access.log")[since:]

    def outcomes(self, since):
        """What nginx has logged about the sessions, each word with its number."""
        counts = {}
        for word in re.findall(r" session=([a-z]+) ", self.access_log(since)):
            counts[word] = counts.get(word, 0) + 1
        return counts

    def logs(self):
        names = [f"gateway-{number}.log" for number in range(len(self.gateways))]
        names += ["php.log", "php.out", "nginx.errors", "access.log", "memcached.log"]
        return "".join(f"--- {name}\n{self.read(name)[-3000:]}" for name in names)
