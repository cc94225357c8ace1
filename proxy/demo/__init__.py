"""What `brain demo` needs besides the gateway: services to stand behind it, and lines to try it."""

from proxy.demo.curl import curl_lines, token_lines
from proxy.demo.stand_ins import DEMO_KEY, ISSUER, StandIns

__all__ = ["DEMO_KEY", "ISSUER", "StandIns", "curl_lines", "token_lines"]
