"""Exotel: the record of the phone provider."""

from voicecore.catalog.phones.record import KEYS, PCM, ConsoleField, Phone

PHONE = Phone(
    name="exotel",
    title="Exotel",
    secrets=("EXOTEL_ACCOUNT_SID", "EXOTEL_API_KEY", "EXOTEL_API_TOKEN"),
    calling=("EXOTEL_APP_ID",),
    encoding=PCM,
    proof="HTTP basic authentication with key and token",
    place="App Bazaar → the app → its Voicebot applet",
    fields=(ConsoleField("URL", method="", login=KEYS),),
)
