"""What `brain demo` needs besides the gateway: services to stand behind it, and lines to try it."""

from proxy.demo.curl import curl_lines
from proxy.demo.stand_ins import DEMO_KEY, StandIns

__all__ = ["DEMO_KEY", "StandIns", "curl_lines"]
