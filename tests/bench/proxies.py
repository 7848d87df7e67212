"""What one could put between host and plugin instead of plugind, and plugins that run by themselves."""

import os
import shutil
import subprocess
from contextlib import suppress
from typing import Callable, Dict, List, Optional, Tuple

from processes import Child, DaemonError, Middle

NGINX = """\
# One process, as plugind is one thread; the settings are what nginx's own pages advise for gRPC.
daemon off;
master_process off;
{user}
pid {directory}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {directory}/nginx-body;
  proxy_temp_path {directory}/nginx-proxy;
  fastcgi_temp_path {directory}/nginx-fastcgi;
  uwsgi_temp_path {directory}/nginx-uwsgi;
  scgi_temp_path {directory}/nginx-scgi;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  keepalive_time 24h;
  client_max_body_size 0;
  client_body_timeout 1h;
  send_timeout 1h;
  http2_max_concurrent_streams 1024;
  http2_recv_buffer_size 512k;
  http2_body_preread_size 1m;
  http2_chunk_size 64k;
  grpc_buffer_size 64k;
  grpc_read_timeout 1h;
  grpc_send_timeout 1h;
{servers}}}
"""

NGINX_SERVER = """\
  upstream {name} {{
    server unix:{plugin};
    keepalive 1024;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    keepalive_time 24h;
  }}
  server {{
    listen unix:{socket} http2;
    location / {{ grpc_pass grpc://{name}; }}
  }}
"""

# With larger buffers HAProxy 2.6 is faster with large messages and now and then loses the trailers
# behind them, its issue 2388.
HAPROXY = """\
global
  nbthread 1
  maxconn 4096
  tune.h2.max-concurrent-streams 1024
  tune.h2.initial-window-size 1048576
  tune.bufsize 32768
defaults
  mode http
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  timeout http-request 1h
  http-reuse always
{servers}"""

HAPROXY_SERVER = """\
listen {name}
  bind unix@{socket} proto h2
  server plugin unix@{plugin} proto h2 pool-max-conn -1 pool-purge-delay 1h
"""


def find_tool(name: str, tools: Optional[str]) -> Tuple[Optional[str], Dict[str, str], str]:
    """The path of an installed program, or of one that was unpacked into `tools`; with the
    environment that it needs.  If there is none, why."""
    installed = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if installed:
        return installed, {}, ""
    path = os.path.join(tools or "", "usr/sbin", name)
    if not tools or not os.access(path, os.X_OK):
        return None, {}, f"{name} is neither installed nor could it be unpacked"
    libraries = ":".join(os.path.join(tools, "usr/lib", directory)
                         for directory in sorted(os.listdir(os.path.join(tools, "usr/lib")))
                         if directory.endswith("-linux-gnu"))
    environment = {"LD_LIBRARY_PATH": libraries}
    try:
        asked = subprocess.run([path, "-v"], env=environment, capture_output=True, text=True,
                               timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, {}, f"{name} does not run: {error}"
    if asked.returncode != 0:
        return None, {}, f"{name} does not run: {asked.stderr.strip()}"
    return path, environment, ""


class Proxies:
    """nginx, HAProxy, the grpc++ proxy and a relay of bytes, each in front of every plugin."""

    def __init__(self, bench: str, tools: Optional[str], directory: str):
        self._bench = bench
        self._tools = tools
        self._directory = directory
        self._children: Dict[str, Child] = {}
        self._starts: Dict[str, Callable[[], None]] = {}
        self.middles: Dict[str, Middle] = {}
        self.missing: Dict[str, str] = {}  # why a proxy does not run

    def socket(self, proxy: str, plugin: str) -> str:
        return os.path.join(self._directory, f"{proxy}-{plugin}.sock")

    def start(self, plugins: Dict[str, str]) -> None:
        """`plugins` are names and the paths of sockets."""
        # One process for each plugin: it has one upstream, so CPU is counted for the right one.
        for name, path in plugins.items():
            socket = self.socket("relay", name)
            self._start(f"relay-{name}", "relay",
                        [os.path.join(self._bench, "bench_relay"), "--listen", socket, "--to", path],
                        [socket])
            socket = self.socket("proxy", name)
            self._start(f"proxy-{name}", "grpc++-proxy",
                        [os.path.join(self._bench, "bench_grpcpp_proxy"), "--listen",
                         "unix:" + socket, "--to", "unix:" + path], [socket])
        self.start_foreign("nginx", self._nginx, plugins)
        self.start_foreign("haproxy", self._haproxy, plugins)

    def start_foreign(self, proxy: str, command: Callable[[str, str, str], List[str]],
                      plugins: Dict[str, str]) -> None:
        """A proxy that need not be there, nor be one that understands its configuration."""
        found, environment, why = find_tool(proxy, self._tools)
        if found is None:
            self.missing[proxy] = why
            return
        try:
            for name, path in plugins.items():
                self._start(f"{proxy}-{name}", proxy, command(found, name, path),
                            [self.socket(proxy, name)], environment)
        except DaemonError as error:
            self.missing[proxy] = " ".join(str(error).split())
            for name in plugins:
                self.middles.pop(f"{proxy}-{name}", None)

    def _start(self, key: str, name: str, command: List[str], sockets: List[str],
               environment: Optional[Dict[str, str]] = None) -> None:
        def start() -> None:
            for socket in sockets:
                with suppress(FileNotFoundError):
                    os.unlink(socket)  # What was killed leaves it, and not all take its place.
            child = Child(key, command, self._directory, environment)
            self._children[key] = child
            for socket in sockets:
                child.wait_for(socket)
            self.middles[key] = Middle(name, child.pid)
        self._starts[key] = start
        start()

    def restart(self, middle: Middle) -> Middle:
        """Ends that process, and starts the same again, on the same sockets."""
        key = next(key for key, one in self.middles.items() if one == middle)
        self._children[key].stop()
        self._starts[key]()
        return self.middles[key]

    def _configuration(self, name: str, text: str) -> str:
        path = os.path.join(self._directory, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def _nginx(self, program: str, plugin: str, path: str) -> List[str]:
        server = NGINX_SERVER.format(name=plugin, plugin=path,
                                     socket=self.socket("nginx", plugin))
        text = NGINX.format(directory=self._directory, servers=server,
                            user="user root;" if os.geteuid() == 0 else "")
        return [program, "-e", "stderr", "-p", self._directory, "-c",
                self._configuration(f"nginx-{plugin}.conf", text)]

    def _haproxy(self, program: str, plugin: str, path: str) -> List[str]:
        server = HAPROXY_SERVER.format(name=plugin, plugin=path,
                                       socket=self.socket("haproxy", plugin))
        return [program, "-q", "-db", "-f",
                self._configuration(f"haproxy-{plugin}.cfg", HAPROXY.format(servers=server))]

    def stop(self) -> None:
        for child in reversed(self._children.values()):
            child.stop()


class Plugins:
    """Plugins that run without plugind, for what calls them directly or through a proxy."""

    def __init__(self, plugins: str, directory: str, has_go: bool):
        self.sockets: Dict[str, str] = {}
        self._children: List[Child] = []
        try:
            self._start_echo(plugins, directory)
            if has_go:
                self._start_kv(plugins, directory)
        except BaseException:
            self.stop()
            raise

    def _start_echo(self, plugins: str, directory: str) -> None:
        path = os.path.join(directory, "echo-direct.sock")
        child = Child("echo-direct", [os.path.join(plugins, "echo-cpp")], directory,
                      {"PLUGIND_LISTEN": "unix:" + path})
        self._children.append(child)
        child.wait_for(path)
        self.sockets["echo"] = path

    def _start_kv(self, plugins: str, directory: str) -> None:
        """It tells its socket in the line by which go-plugin greets."""
        home = os.path.join(directory, "kv-direct")
        os.mkdir(home)
        child = Child("kv-direct", [os.path.join(plugins, "kv-go-grpc")], home,
                      {"BASIC_PLUGIN": "hello", "PLUGIN_PROTOCOL_VERSIONS": "1",
                       "PLUGIN_UNIX_SOCKET_DIR": home, "TMPDIR": home}, keep_output=True)
        self._children.append(child)
        greeting = child.first_line().split("|")
        if len(greeting) < 5 or greeting[2] != "unix" or greeting[4] != "grpc":
            raise child.failure(f"greeted with {'|'.join(greeting)!r}")
        child.wait_for(greeting[3])
        self.sockets["kv"] = greeting[3]

    def stop(self) -> None:
        for child in reversed(self._children):
            child.stop()
