"""The running service for every test of this folder."""

from tests.support.dispatcher import dispatcher

__all__ = ["dispatcher"]
