"""Measures session handlers behind nginx and php-fpm; see Benchmarks/run.

Every row has the same nginx, the same three memcacheds, and a php-fpm of its own with 8 children and nothing loaded but
opcache and the row's handler. 500 sessions of 1.1 KB are made beforehand; then 32 connections ask for them in turn, and
every request reads its session and writes it back with a counter that is one higher. Rounds of all rows follow each other,
so that what disturbs the machine disturbs every row; medians are printed.
"""
import argparse
import concurrent.futures
import http.client
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import memory

HERE = os.path.dirname(os.path.abspath(__file__))
SESSIONS = 500
CONNECTIONS = 32
CHILDREN = 8
TICK = os.sysconf("SC_CLK_TCK")

# name: what it is, the page, php-fpm's settings
ROWS = {
    "plain": ("php-fpm without session", "plain.php", ""),
    "files": ("PHP's files handler", "session.php", "php_admin_value[session.save_handler] = files\n"
              "php_admin_value[session.save_path] = {directory}/sessions\n"),
    "memcache": ("PHP's memcache handler, 2 copies", "session.php",
                 "php_admin_value[session.save_handler] = memcache\n"
                 "php_admin_value[session.save_path] = \"{tcp_servers}\"\n"
                 "php_admin_value[memcache.session_redundancy] = 2\n"),
    "memcached": ("php-memcached, one replica", "session.php",
                  "php_admin_value[session.save_handler] = memcached\n"
                  "php_admin_value[session.save_path] = \"{servers}\"\n"
                  "php_admin_value[memcached.sess_number_of_replicas] = 1\n"
                  "php_admin_value[memcached.sess_binary_protocol] = On\n"
                  "php_admin_value[memcached.sess_consistent_hash] = On\n"),
    "gateway": ("session-gateway, 2 copies", "gateway.php", ""),
    "adapter": ("session-gateway, adapter: php", "session.php", ""),
    "postgresql": ("session-gateway, 2 copies, PostgreSQL", "gateway.php", ""),
    "embedded": ("session-gateway, SQLite alone", "gateway.php", ""),
}
# The rows whose requests go through the gateway: each is a site of its own there.
SERVERS = "    servers: [{servers}]\n    redundancy: 2\n"
GATEWAY_ROWS = {
    "gateway": SERVERS,
    "adapter": SERVERS + f"    adapter: php\n    adapter_file: {os.path.dirname(HERE)}/Adapters/php/session-gateway.php\n",
    "postgresql": SERVERS + "    database: \"{database}\"\n",
    "embedded": "",
}
EXTENSIONS = {"memcache": ["memcache"], "memcached": ["igbinary", "msgpack", "memcached"]}


def find(*names):
    for name in names:
        path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        if path:
            return path
    sys.exit(f"{names[0]} is not installed")


def unused_port():
    """Below the ports that the system gives to outgoing connections."""
    for port in range(21000, 32000):
        if port in unused_port.given:
            continue
        with socket.socket() as candidate:
            candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                candidate.bind(("127.0.0.1", port))
            except OSError:
                continue
        unused_port.given.add(port)
        return port
    sys.exit("no free port")


unused_port.given = set()


class Server:
    """A program in a process group of its own, which ends with this one."""

    def __init__(self, command, log, address, death_signal="KILL", environment=None):
        self.name = os.path.basename(command[0])
        with open(log, "ab") as output:
            self.process = subprocess.Popen(
                [find("setpriv"), "--pdeathsig", death_signal, "--", *command], stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, start_new_session=True, env=environment)
        deadline = time.monotonic() + 20
        while not self.listens(address):
            if self.process.poll() is not None or time.monotonic() > deadline:
                with open(log, errors="replace") as text:
                    sys.exit(f"{self.name} does not listen: {text.read()[-2000:]}")
            time.sleep(0.02)

    @staticmethod
    def listens(address):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        with socket.socket(family) as client:
            return client.connect_ex(address) == 0

    def stop(self):
        try:
            self.process.terminate()
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()

    def pids(self):
        """The process and its children."""
        found = [self.process.pid]
        for task in os.listdir(f"/proc/{self.process.pid}/task"):
            with open(f"/proc/{self.process.pid}/task/{task}/children") as children:
                found += [int(pid) for pid in children.read().split()]
        return found

    def cpu(self):
        """Seconds of CPU that the process and its children have used."""
        ticks = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/stat") as stat:
                words = stat.read().rsplit(")", 1)[1].split()
            ticks += int(words[11]) + int(words[12])
        return ticks / TICK

    def resident(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            for line in status:
                if line.startswith("VmRSS"):
                    return int(line.split()[1])
        return 0


class Bench:
    def __init__(self, directory, rows, gateway):
        self.directory = directory
        self.rows = rows
        self.gateway_executable = gateway
        self.servers = []
        self.cookies = {}
        self.memcached_ports = []
        self.php = {}
        self.gateway = None
        self.postgresql = None
        self.database_url = None

    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, text):
        with open(self.path(name), "w") as file:
            file.write(text)
        return self.path(name)

    def server(self, *arguments, **keywords):
        server = Server(*arguments, **keywords)
        self.servers.append(server)
        return server

    def start(self):
        shutil.copytree(os.path.join(HERE, "pages"), self.path("pages"))
        os.mkdir(self.path("sessions"), 0o700)
        self.memcacheds = []
        for number in range(3):
            port = unused_port()
            self.memcached_ports.append(port)
            self.memcacheds.append(self.server(
                [find("memcached"), "-l", "127.0.0.1", "-p", str(port), "-U", "0", "-m", "256", "-c", "4096"] + self.user("-u"),
                self.path(f"memcached{number}.log"), ("127.0.0.1", port)))
        for row in self.rows:
            self.start_php(row)
        if "postgresql" in self.rows:
            self.start_postgresql()
        if any(row in GATEWAY_ROWS for row in self.rows):
            self.start_gateway()
        self.start_nginx()

    @staticmethod
    def user(option):
        return [option, "root"] if os.geteuid() == 0 else []

    def start_php(self, row):
        extensions = "".join(f"extension={name}.so\n" for name in EXTENSIONS.get(row, []))
        ini = self.write(f"php-{row}.ini", "zend_extension=opcache.so\nopcache.enable=1\nsession.gc_probability=0\n"
                         "output_buffering=4096\nerror_log=" + self.path(f"php-{row}.errors") + "\n" + extensions)
        values = {
            "directory": self.directory,
            "servers": ",".join(f"127.0.0.1:{port}" for port in self.memcached_ports),
            "tcp_servers": ", ".join(f"tcp://127.0.0.1:{port}" for port in self.memcached_ports),
        }
        user = "user = root\ngroup = root\n" if os.geteuid() == 0 else ""
        configuration = self.write(
            f"php-{row}.conf",
            f"[global]\ndaemonize = no\nerror_log = {self.path(f'php-{row}.log')}\n[www]\n{user}"
            f"listen = {self.path(f'php-{row}.sock')}\nlisten.backlog = 4096\nlisten.mode = 0666\n"
            f"pm = static\npm.max_children = {CHILDREN}\n" + ROWS[row][2].format(**values))
        root = ["--allow-to-run-as-root"] if os.geteuid() == 0 else []
        # Nothing of the system's own configuration: what is loaded there would be in every row.
        environment = dict(os.environ, PHP_INI_SCAN_DIR=self.path("none"))
        self.php[row] = self.server(
            [find("php-fpm8.2", "php-fpm"), "--nodaemonize", "--php-ini", ini, "--fpm-config", configuration, *root],
            self.path(f"php-{row}.out"), self.path(f"php-{row}.sock"), death_signal="TERM", environment=environment)

    def start_postgresql(self):
        """With its defaults, flushing included; as the user postgres where this is root, which it refuses to run as."""
        programs = max((name for name in os.listdir("/usr/lib/postgresql") if name.isdigit()), key=int)
        programs = os.path.join("/usr/lib/postgresql", programs, "bin")
        data, sockets = self.path("postgresql"), self.path("postgresql-socket")
        user = []
        for name in (data, sockets):
            os.mkdir(name, 0o700 if name == data else 0o755)
        if os.geteuid() == 0:
            user = [find("setpriv"), "--reuid", "postgres", "--regid", "postgres", "--init-groups", "--pdeathsig", "QUIT",
                    "--"]
            for name in (data, sockets):
                shutil.chown(name, "postgres", "postgres")
        subprocess.run(user + [f"{programs}/initdb", "-D", data, "-U", "postgres", "--auth=trust"], check=True,
                       stdout=subprocess.DEVNULL, cwd="/")
        self.postgresql = self.server(
            user + [f"{programs}/postgres", "-D", data, "-k", sockets, "-c", "listen_addresses="],
            self.path("postgresql.log"), f"{sockets}/.s.PGSQL.5432", death_signal="QUIT")
        self.database_url = f"postgresql://postgres@/postgres?host={sockets}"
        # Its socket is there before it answers.
        deadline = time.monotonic() + 20
        while subprocess.run([f"{programs}/pg_isready", "-q", "-d", self.database_url]).returncode:
            if time.monotonic() > deadline:
                sys.exit("PostgreSQL does not answer")
            time.sleep(0.1)

    def start_gateway(self):
        servers = ", ".join(f"127.0.0.1:{port}" for port in self.memcached_ports)
        configuration = self.write(
            "gateway.yaml",
            f"listen: unix:{self.path('gateway.sock')}\n"
            f"late_socket: {self.path('late.sock')}\n"
            f"state_directory: {self.path('state')}\n"
            f"log_level: {'info' if self.postgresql else 'warning'}\n"
            "sites:\n" + "".join(
                f"  {row}:\n"
                + GATEWAY_ROWS[row].replace("{servers}", servers).replace("{database}", self.database_url or "") +
                "    backend:\n"
                f"      fastcgi: unix:{self.path(f'php-{row}.sock')}\n"
                f"      connections: {CHILDREN}\n" for row in self.rows if row in GATEWAY_ROWS))
        self.gateway = self.server(
            [self.gateway_executable, "run", "--config", configuration],
            self.path("gateway.log"), self.path("gateway.sock"),
            environment=dict(os.environ, GLIBC_TUNABLES="glibc.malloc.tcache_count=200"))  # as in the README's unit

    def start_nginx(self):
        self.port = unused_port()
        locations = []
        for row in self.rows:
            # A kept-alive connection would hold a child of php-fpm: its rows go without, as they are deployed.
            upstream = "gateway" if row in GATEWAY_ROWS else f"unix:{self.path(f'php-{row}.sock')}"
            keep = f"fastcgi_keep_conn on; fastcgi_param SESSION_SITE {row};" if row in GATEWAY_ROWS else ""
            locations.append(
                f"location = /{row} {{ include /etc/nginx/fastcgi_params; {keep} fastcgi_pass {upstream}; "
                f"fastcgi_param SCRIPT_FILENAME {self.path('pages')}/{ROWS[row][1]}; }}")
        temporary = " ".join(f"{name}_temp_path {self.path(f'nginx-{name}')};"
                             for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        user = "user root root;" if os.geteuid() == 0 else ""
        gateway = (f"upstream gateway {{ server unix:{self.path('gateway.sock')}; keepalive 64; }}"
                   if self.gateway else "")
        configuration = self.write(
            "nginx.conf",
            f"{user} daemon off; worker_processes auto; pid {self.path('nginx.pid')}; "
            f"error_log {self.path('nginx.errors')}; events {{ worker_connections 4096; }}\n"
            f"http {{ access_log off; keepalive_requests 1000000000; {temporary} {gateway}\n"
            f"server {{ listen 127.0.0.1:{self.port}; fastcgi_next_upstream off;\n" + "\n".join(locations) + "\n} }\n")
        self.nginx = self.server(
            [find("nginx"), "-p", self.directory, "-c", configuration, "-e", self.path("nginx.errors")],
            self.path("nginx.out"), ("127.0.0.1", self.port), death_signal="TERM")

    def get(self, row, cookie=None):
        """Body and cookie of one answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", f"/{row}", headers={"Cookie": cookie} if cookie else {})
            response = connection.getresponse()
            body = response.read().decode(errors="replace")
            if response.status != 200 or not body.startswith("n="):
                sys.exit(f"{row}: status {response.status}, {body[:300]!r}, logs in {self.directory}")
            fields = response.headers.get_all("Set-Cookie") or []
            return int(body[2:]), fields[0].split(";")[0] if fields else None
        finally:
            connection.close()

    def make_sessions(self, row):
        if row == "plain":
            self.get(row)
            self.cookies[row] = None
        else:
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                cookies = [cookie for _, cookie in pool.map(lambda _: self.get(row), range(SESSIONS))]
            if None in cookies or len(set(cookies)) != SESSIONS:
                sys.exit(f"{row}: the answers set no cookies")
            self.cookies[row] = cookies
        self.write(f"cookies-{row}", "\n".join(self.cookies[row] or ["-"]) + "\n")

    def counted(self, row):
        """The sum of all sessions' counters; asking for it adds one to each."""
        if self.cookies[row] is None:
            return None
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            return sum(count for count, _ in pool.map(lambda cookie: self.get(row, cookie), self.cookies[row]))

    def measure(self, row, seconds):
        groups = {"php": [self.php[row]], "nginx": [self.nginx], "memcached": self.memcacheds}
        if row in GATEWAY_ROWS:
            groups["gateway"] = [self.gateway]
        if row == "postgresql":
            groups["database"] = [self.postgresql]
        before_count = self.counted(row)
        before = {name: sum(server.cpu() for server in servers) for name, servers in groups.items()}
        command = [find("wrk"), "-t2", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "10s",
                   "-s", os.path.join(HERE, "load.lua"), f"http://127.0.0.1:{self.port}/{row}", "--",
                   self.path(f"cookies-{row}")]
        output = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
        after = {name: sum(server.cpu() for server in servers) for name, servers in groups.items()}
        result = [line for line in output.splitlines() if line.startswith("RESULT ")]
        if not result:
            sys.exit(f"wrk: {output[-500:]}")
        result = json.loads(result[0][7:])
        requests = result["requests"]
        measured = {
            "requests": requests,
            "requests_per_second": requests * 1e6 / result["microseconds"],
            "p50_microseconds": result["p50"],
            "p99_microseconds": result["p99"],
            "errors": sum(result[kind] for kind in ("status", "connect", "read", "write", "timeout")),
        }
        for name in groups:
            measured[f"{name}_cpu_microseconds"] = (after[name] - before[name]) * 1e6 / max(requests, 1)
        if before_count is not None:
            # Every request adds one, and the first count added one to each session. wrk leaves up to one request per
            # connection under way when it ends: those may be written and not counted by it.
            written = self.counted(row) - before_count - SESSIONS
            measured["lost_writes_percent"] = max(0.0, 100 * (requests - written) / max(requests, 1))
        if row in GATEWAY_ROWS:
            measured["gateway_resident_kilobytes"] = self.gateway.resident()
        return measured

    def copies(self):
        """Items that the memcacheds hold together."""
        total = 0
        for port in self.memcached_ports:
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(b"stats\r\n")
                text = b""
                while not text.endswith(b"END\r\n"):
                    text += client.recv(65536)
            total += int(text.split(b"STAT curr_items ")[1].split(b"\r\n")[0])
        return total

    def print_database(self):
        """What the gateway says of its database at its end."""
        if not self.postgresql:
            return
        self.gateway.stop()
        with open(self.path("gateway.log"), errors="replace") as log:
            lines = [line for line in log if "avoided_reads=" in line and "waiting_bytes=" in line]  # beside memcached
        print(lines[-1].strip() if lines else "the gateway has not told of its database")

    def stop(self):
        for server in reversed(self.servers):
            server.stop()


def median(rounds, key):
    values = [measured[key] for measured in rounds if key in measured]
    return statistics.median(values) if values else None


def print_table(results):
    print()
    header = f"{'':37} {'req/s':>8} {'p50 ms':>7} {'p99 ms':>8} {'gateway':>8} {'php':>6} {'memc.':>6} {'nginx':>6} " \
             f"{'errors':>7} {'lost %':>7} {'x plain':>8} {'x files':>8} {'x memcache':>11} {'x gateway':>10}"
    print(header)
    print(f"{'':62} {'CPU, microseconds per request':>29}")

    def figure(value, digits, width):
        return f"{'–' if value is None else format(value, f'.{digits}f'):>{width}}"

    for result in results:
        print(f"{result['name']:37} {figure(result['requests_per_second'], 0, 8)} "
              f"{figure(result['p50_microseconds'] / 1000, 2, 7)} {figure(result['p99_microseconds'] / 1000, 2, 8)} "
              f"{figure(result.get('gateway_cpu_microseconds'), 1, 8)} {figure(result['php_cpu_microseconds'], 1, 6)} "
              f"{figure(result['memcached_cpu_microseconds'], 1, 6)} {figure(result['nginx_cpu_microseconds'], 1, 6)} "
              f"{result['errors']:>7} {figure(result.get('lost_writes_percent'), 2, 7)} "
              f"{figure(result.get('ratio_to_plain'), 2, 8)} {figure(result.get('ratio_to_files'), 2, 8)} "
              f"{figure(result.get('ratio_to_memcache'), 2, 11)} {figure(result.get('ratio_to_gateway'), 2, 10)}")


def main():
    parser = argparse.ArgumentParser(prog="Benchmarks/run", description="Session handlers side by side.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5, help="of each row in each round")
    parser.add_argument("--rows", default=",".join(ROWS), help=", ".join(ROWS))
    parser.add_argument("--gateway", help="the gateway's executable")
    parser.add_argument("--json", metavar="FILE", help="write the results there too")
    options = parser.parse_args()
    rows = options.rows.split(",")
    for row in rows:
        if row not in ROWS:
            parser.error(f"no row is named {row}: {', '.join(ROWS)}")
    if any(row in GATEWAY_ROWS for row in rows) and not (options.gateway and os.access(options.gateway, os.X_OK)):
        parser.error("the rows of the gateway want --gateway EXECUTABLE")

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    directory = tempfile.mkdtemp(prefix="sg-bench.", dir="/tmp")
    os.chmod(directory, 0o755)
    bench = Bench(directory, rows, options.gateway and os.path.abspath(options.gateway))
    succeeded = False
    try:
        bench.start()
        for row in rows:
            before = bench.copies()
            bench.make_sessions(row)
            kept = bench.copies() - before
            print(f"{ROWS[row][0]}: {SESSIONS if row != 'plain' else 0} sessions, {kept} items in memcached", flush=True)
            bench.measure(row, 1)  # connections made, code compiled
        measured = {row: [] for row in rows}
        for number in range(options.rounds):
            # Rows take turns at being first.
            for row in rows[number % len(rows):] + rows[:number % len(rows)]:
                measured[row].append(bench.measure(row, options.seconds))
                print(f"round {number + 1}: {ROWS[row][0]}: {measured[row][-1]['requests_per_second']:.0f}/s", flush=True)
        results = []
        for row in rows:
            result = {"row": row, "name": ROWS[row][0]}
            for key in measured[row][0]:
                result[key] = median(measured[row], key)
            result["errors"] = sum(one["errors"] for one in measured[row])
            result["rounds"] = measured[row]
            for peer in ("plain", "files", "memcache", "gateway"):
                if peer in measured:
                    result[f"ratio_to_{peer}"] = result["requests_per_second"] / median(measured[peer], "requests_per_second")
            results.append(result)
        print_table(results)
        bench.print_database()
        held = memory.measure(bench) if "gateway" in rows else None
        if held:
            print(memory.text(held))
        if options.json:
            with open(options.json, "w") as file:
                json.dump({
                    "sessions": SESSIONS, "connections": CONNECTIONS, "php_children": CHILDREN, "memcacheds": 3,
                    "rounds": options.rounds, "seconds": options.seconds, "processors": os.cpu_count(),
                    "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "rows": results,
                    "memory": held,
                }, file, indent=2)
                file.write("\n")
        succeeded = True
    finally:
        bench.stop()
        if succeeded:
            shutil.rmtree(directory, ignore_errors=True)
        else:
            print(f"logs: {directory}", file=sys.stderr)


if __name__ == "__main__":
    main()
