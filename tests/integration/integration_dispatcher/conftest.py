"""The running service for every test of this folder."""

from tests.support.dispatcher import dispatcher, receiver, receiver_url

__all__ = ["dispatcher", "receiver", "receiver_url"]
