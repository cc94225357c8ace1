"""The providers whose ways are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from plugins.webhook.schemes import Scheme

SALEOR = "saleor"
CUSTOM = "hmac"

REPEATED = 600.0
"""Seconds for which a body is remembered that was signed without a time.

A provider that hears 409 for one that had got through sends it again later than this, and is heard:
Shopify for 4 hours, Razorpay for a day. So a lost 200 costs a repetition and no event.
"""


@dataclass(frozen=True, slots=True)
class Provider:
    """How one provider signs. `replay`: seconds for which its deliveries are remembered.

    None means: for as long as the signed time lets one through.
    """

    scheme: Scheme
    replay: float | None


PROVIDERS: Mapping[str, Provider] = {
    # https://docs.stripe.com/webhooks: each attempt is signed anew, with its own time.
    "stripe": Provider(
        Scheme("Stripe-Signature", payload="{timestamp}.{body}", elements=True), None
    ),
    # https://docs.github.com/webhooks: redelivered by hand, byte for byte. The delivery's id is not
    # signed, so it proves nothing.
    "github": Provider(Scheme("X-Hub-Signature-256", prefix="sha256="), REPEATED),
    # https://shopify.dev/docs/apps/build/webhooks: tried 8 times in 4 hours, byte for byte.
    "shopify": Provider(Scheme("X-Shopify-Hmac-Sha256", encoding="base64"), REPEATED),
    # https://razorpay.com/docs/webhooks: tried for 24 hours, byte for byte.
    "razorpay": Provider(Scheme("X-Razorpay-Signature"), REPEATED),
}
