"""What the gateway holds for connections that are idle and for requests that wait for their backend.

In bytes of resident memory each, beyond what the first few need for all.
"""
import os
import resource
import socket
import time

IDLE = 10_000
WAITING = 5_000
FIRST = 200


def record(kind, content=b"", request=1):
    return bytes([1, kind]) + request.to_bytes(2, "big") + len(content).to_bytes(2, "big") + b"\0\0" + content


def request(parameters):
    """A whole request of FastCGI without a body, which keeps its connection."""
    def length(text):
        return bytes([len(text)]) if len(text) < 128 else (len(text) | 1 << 31).to_bytes(4, "big")
    pairs = b"".join(length(name) + length(value) + name + value
                     for name, value in ((name.encode(), value.encode()) for name, value in parameters.items()))
    return record(1, b"\0\1\1\0\0\0\0\0") + record(4, pairs) + record(4) + record(5)


def connect(path):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(60)
    client.connect(path)
    return client


def page(site, **more):
    return request({"SESSION_SITE": site, "REQUEST_METHOD": "GET", "SCRIPT_NAME": "/page.php", "DOCUMENT_URI": "/page.php",
                    "SCRIPT_FILENAME": "/page.php", "REQUEST_URI": "/page.php", "SERVER_PROTOCOL": "HTTP/1.1",
                    "REMOTE_ADDR": "127.0.0.1", **more})


def wait_until_idle(server):
    last = -1.0
    while server.cpu() - last > 0.01:
        last = server.cpu()
        time.sleep(0.5)


def threads(server):
    return len(os.listdir(f"/proc/{server.process.pid}/task"))


def measure(bench):
    """Of a gateway that only this is done to; its one backend accepts a connection and never answers."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    clients = []
    path = bench.path("memory.sock")
    backend = socket.socket(socket.AF_UNIX)
    backend.bind(bench.path("silent.sock"))
    backend.listen(16)
    servers = ", ".join(f"127.0.0.1:{port}" for port in bench.memcached_ports)
    configuration = bench.write(
        "memory.yaml",
        f"listen: unix:{path}\nlate_socket: {bench.path('memory-late.sock')}\nstate_directory: {bench.path('memory')}\n"
        "log_level: warning\nsites:\n  gateway:\n"
        f"    servers: [{servers}]\n    redundancy: 2\n    queue_length: 16384\n    load_timeout: 2s\n"
        "    operation_timeout: 2s\n    backend:\n"
        f"      fastcgi: unix:{bench.path('silent.sock')}\n      connections: 1\n      queue_length: 8192\n"
        "      queue_timeout: 300s\n")
    server = bench.server([bench.gateway_executable, "run", "--config", configuration], bench.path("memory.log"), path)
    try:
        def idle(count):
            for _ in range(count):
                client = connect(path)
                client.sendall(page("nobody"))
                answer = b""
                while record(3, b"\0" * 8)[:2] not in answer[-16:]:
                    part = client.recv(65536)
                    if not part:
                        raise RuntimeError("the gateway closed a connection that it was to keep")
                    answer += part
                clients.append(client)
            wait_until_idle(server)
            return server.resident() * 1024

        def wait(count):
            for number in range(count):
                client = connect(path)
                client.sendall(page("gateway", HTTP_COOKIE=bench.cookies["gateway"][0]))
                clients.append(client)
                if number % 50 == 49:
                    time.sleep(0.05)
            wait_until_idle(server)
            return server.resident() * 1024

        before, alone = idle(FIRST), threads(server)
        figures = {"idle_connections": IDLE, "idle_connection_bytes": (idle(IDLE) - before) // IDLE,
                   "threads_more": threads(server) - alone}
        before = wait(FIRST)
        figures.update({"waiting_requests": WAITING, "waiting_request_bytes": (wait(WAITING) - before) // WAITING})
        return figures
    finally:
        for client in clients:
            client.close()
        server.stop()
        backend.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def text(figures):
    return (f"{figures['idle_connections']} idle connections take {figures['idle_connection_bytes']} bytes each and "
            f"{figures['threads_more']} threads; {figures['waiting_requests']} waiting requests take "
            f"{figures['waiting_request_bytes']} bytes each")
