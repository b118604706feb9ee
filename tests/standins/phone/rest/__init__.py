"""The REST APIs for calls as the providers document them, one module per provider."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from aiohttp import web

from tests.standins.phone.rest.api import PhoneApi, handler
from tests.standins.phone.rest.exotel import ExotelApi
from tests.standins.phone.rest.plivo import PlivoApi
from tests.standins.phone.rest.telnyx import TelnyxApi
from tests.standins.phone.rest.twilio import TwilioApi
from tests.standins.phone.rest.vonage import VonageApi

if TYPE_CHECKING:
    from tests.standins.phone.provider import Provider

_APIS: Mapping[str, Callable[[Provider], PhoneApi]] = {
    "twilio": TwilioApi,
    "telnyx": TelnyxApi,
    "plivo": PlivoApi,
    "exotel": ExotelApi,
    "vonage": VonageApi,
}


def add_routes(app: web.Application, provider: Provider) -> None:
    """Add the provider's API to the application."""
    for method, path, endpoint in _APIS[provider.name](provider).routes():
        app.router.add_route(method, path, handler(endpoint))
