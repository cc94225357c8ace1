"""`body-transform`: sets, removes and renames fields of JSON bodies."""

from plugins.body_transform.plugin import BodyTransform

__all__ = ["BodyTransform"]
