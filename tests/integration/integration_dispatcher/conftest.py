"""The running service for every test of this folder."""

from tests.support.dispatcher import dispatcher, receiver, receiver_url
from tests.support.mail_in import mail_in

__all__ = ["dispatcher", "mail_in", "receiver", "receiver_url"]
