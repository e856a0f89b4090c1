"""Settings of e-mail: SMTP_* for mail out, IMAP_* for mail in. Nothing set: e-mail is off; half set: the start stops."""

from enum import StrEnum
from typing import Self

from pydantic import BaseModel, Field, SecretStr, model_validator


class Tls(StrEnum):
    """`starttls`: the connection is encrypted after a plain greeting, and nothing is sent before. `tls`: from its first byte."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


class EmailSettings(BaseModel):
    smtp_host: str = Field(default="", description="the mail server that takes our mail; empty: no e-mail")
    smtp_port: int = Field(default=0, ge=0, le=65535, description="0: 465 with tls, 587 with starttls, 25 with none")
    smtp_username: str = ""
    smtp_password: SecretStr = SecretStr("")
    smtp_tls: Tls = Tls.STARTTLS
    smtp_from: str = Field(default="", description="our address, as in it@example.com or IT Help <it@example.com>")
    smtp_timeout_s: float = Field(default=30.0, gt=0, le=300)
    smtp_dkim_domain: str = Field(default="", description="with selector and key: our mail is signed here")
    smtp_dkim_selector: str = ""
    smtp_dkim_key: SecretStr = Field(default=SecretStr(""), description="the private key in PEM")
    imap_host: str = Field(default="", description="the mailbox that people write to; empty: no mail comes in")
    imap_port: int = Field(default=0, ge=0, le=65535, description="0: 993 with tls, else 143")
    imap_username: str = ""
    imap_password: SecretStr = SecretStr("")
    imap_tls: Tls = Tls.TLS
    imap_folder: str = "INBOX"
    imap_poll_s: float = Field(default=30.0, gt=0, le=3600, description="how long one look waits for news")
    email_trusted_authserv_id: str = Field(
        default="", description="the name by which your mail server signs its Authentication-Results"
    )
    email_links_url: str = Field(default="", description="this service as browsers reach it, https://host")
    email_answers_per_hour: int = Field(default=5, ge=1, le=1000, description="of one sender; more is a loop")

    @property
    def sends_mail(self) -> bool:
        return bool(self.smtp_host)

    @property
    def reads_mail(self) -> bool:
        return bool(self.imap_host)

    @property
    def has_mail_links(self) -> bool:
        return self.sends_mail and bool(self.email_links_url)

    @model_validator(mode="after")
    def check_email(self) -> Self:
        """Raises ValueError that names what is missing."""
        self._check("SMTP_HOST", self.sends_mail, {"SMTP_FROM": bool(self.smtp_from)}, self._smtp_extras())
        needed = {
            "IMAP_USERNAME": bool(self.imap_username),
            "IMAP_PASSWORD": bool(self.imap_password.get_secret_value()),
            "EMAIL_TRUSTED_AUTHSERV_ID": bool(self.email_trusted_authserv_id),
            "SMTP_HOST": self.sends_mail,
        }
        extras = {name: is_set for name, is_set in needed.items() if name.startswith("IMAP_")}
        self._check("IMAP_HOST", self.reads_mail, needed, extras)
        _check_whole("SMTP_USERNAME", self.smtp_username, "SMTP_PASSWORD", self.smtp_password.get_secret_value())
        _check_whole("SMTP_DKIM_KEY", self.smtp_dkim_key.get_secret_value(), "SMTP_DKIM_DOMAIN", self.smtp_dkim_domain)
        _check_whole(
            "SMTP_DKIM_KEY", self.smtp_dkim_key.get_secret_value(), "SMTP_DKIM_SELECTOR", self.smtp_dkim_selector
        )
        if self.smtp_from and not _is_address(self.smtp_from):
            raise ValueError("SMTP_FROM is an address, as in it@example.com or IT Help <it@example.com>")
        if self.email_links_url and not self.email_links_url.startswith(("https://", "http://")):
            raise ValueError("EMAIL_LINKS_URL is an address, as in https://it.example.com")
        return self

    def check_encryption(self) -> None:
        """Outside the local profile no password travels in the clear. Raises ValueError."""
        if self.smtp_username and self.smtp_tls is Tls.NONE:
            raise ValueError("SMTP_TLS is none, and SMTP_PASSWORD would travel in the clear")
        if self.reads_mail and self.imap_tls is Tls.NONE:
            raise ValueError("IMAP_TLS is none, and IMAP_PASSWORD would travel in the clear")
        if self.email_links_url.startswith("http://"):
            raise ValueError("EMAIL_LINKS_URL is not https, and links that prove a sender would travel in the clear")

    def _smtp_extras(self) -> dict[str, bool]:
        return {
            "SMTP_FROM": bool(self.smtp_from),
            "SMTP_USERNAME": bool(self.smtp_username),
            "SMTP_PASSWORD": bool(self.smtp_password.get_secret_value()),
            "SMTP_DKIM_KEY": bool(self.smtp_dkim_key.get_secret_value()),
        }

    def _check(self, host: str, is_on: bool, needed: dict[str, bool], extras: dict[str, bool]) -> None:
        if is_on:
            missing = [name for name, is_set in needed.items() if not is_set]
            if missing:
                raise ValueError(f"{host} is set, and {', '.join(missing)} missing")
        elif given := [name for name, is_set in extras.items() if is_set]:
            raise ValueError(f"{', '.join(given)} set, and {host} missing")


def _check_whole(first: str, first_value: str, second: str, second_value: str) -> None:
    if bool(first_value) != bool(second_value):
        missing = second if first_value else first
        raise ValueError(f"{first} and {second} belong together: {missing} is missing")


def _is_address(text: str) -> bool:
    address = text.rpartition("<")[2].rstrip(">").strip()
    mailbox, at, domain = address.rpartition("@")
    return bool(mailbox and at and domain) and text.isprintable() and not any(each.isspace() for each in address)
