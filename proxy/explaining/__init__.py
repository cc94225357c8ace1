"""What would become of one request, and why, without sending it anywhere.

The request is parsed, routed and judged by the code that serves, on a connection that leads nowhere;
plugins are made and never set up. So what is said here is what would happen, up to what plugins do.
"""
