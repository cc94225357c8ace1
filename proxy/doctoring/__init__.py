"""What is wrong between the gateway and its upstreams, found by asking each target directly.

Every target is asked as the gateway would ask it (its TLS, `Host`, base path, timers, forwarding
headers) and as it would not, and the answers are compared. What is sent is safe by RFC 9110, 9.2.1,
unless the caller says otherwise, and is bounded in number and in time.
"""
