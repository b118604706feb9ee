"""Exotel: its record, and what it adds to a project (template/)."""

from voicecore.catalog.phones.record import KEYS, Field, Phone

PHONE = Phone(
    name="exotel",
    title="Exotel",
    secrets=("EXOTEL_ACCOUNT_SID", "EXOTEL_API_KEY", "EXOTEL_API_TOKEN"),
    calling=("EXOTEL_APP_ID",),
    encoding="audio/l16",
    proof="key and token, by HTTP basic authentication",
    place="App Bazaar → the app → its applet Voicebot",
    fields=(Field("URL", method="", login=KEYS),),
)
