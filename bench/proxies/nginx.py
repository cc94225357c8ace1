"""nginx, one worker process."""

from __future__ import annotations

import getpass
import shutil

from bench.proxies.base import Proxy, version_of


class Nginx(Proxy):
    name = "nginx"
    logs = True

    @classmethod
    def version(cls) -> str | None:
        return version_of("nginx", "-v") if shutil.which("nginx") else None

    def command(self) -> list[str]:
        return ["nginx", "-p", str(self.folder), "-c", self._write("nginx.conf", self._config())]

    def _config(self) -> str:
        """Answers are buffered in memory as by default, but never in files: those would be disk,
        not proxy. The limits on requests a connection would otherwise cost reconnects."""
        folder = self.folder
        access = f"{folder}/access.log fields" if self.logged else "off"
        return f"""
daemon off;
master_process on;
worker_processes 1;
worker_rlimit_nofile 8192;
user {getpass.getuser()};
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 4096; }}
http {{
  {_LOG_FORMAT}
  access_log {access};
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  keepalive_timeout 600s;
  keepalive_requests 1000000000;
  client_max_body_size 0;
  client_body_buffer_size 64k;
  upstream service {{
    server 127.0.0.1:{self.upstream};
    keepalive 64;
    keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{self.port} backlog=2048;
    location / {{
      proxy_pass http://service;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_buffering on;
      proxy_max_temp_file_size 0;
    }}
  }}
}}
"""


_LOG_FORMAT = """log_format fields escape=json '{"time":"$time_iso8601","request_id":"$request_id",'
    '"client":"$remote_addr","method":"$request_method","path":"$uri","protocol":"$server_protocol",'
    '"status":$status,"received":$request_length,"sent":$body_bytes_sent,'
    '"duration":$request_time,"upstream":"$upstream_addr",'
    '"upstream_connect":"$upstream_connect_time","upstream_head":"$upstream_header_time",'
    '"upstream_duration":"$upstream_response_time"}';"""
