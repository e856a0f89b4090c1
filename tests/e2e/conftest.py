"""The whole product as a fixture."""

from tests.support.system import encoder, system

__all__ = ["encoder", "system"]
