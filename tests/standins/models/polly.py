"""Owns the stand-in for Polly's SynthesizeSpeech: espeak-ng at the PCM rates of Polly.

https://docs.aws.amazon.com/polly/latest/dg/API_SynthesizeSpeech.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

from tests.standins.models import contract
from tests.standins.models.refusal import Refused, invalid
from tests.standins.models.speech import say

SERVICE = "polly"


def synthesize(body: bytes) -> tuple[str, bytes]:
    """Return the requested words and their audio. Raises Refused as Polly does."""
    try:
        request: Mapping[str, Any] = json.loads(body)
    except ValueError as e:
        raise invalid("The request body is not JSON.") from e
    contract.check_request(contract.service("polly"), "SynthesizeSpeech", request)
    if request["OutputFormat"] != "pcm":
        raise invalid("This stand-in supports only PCM.")
    rate = request.get("SampleRate", "16000")
    if rate not in ("8000", "16000"):
        raise Refused("InvalidSampleRateException", "The specified sample rate is not valid.")
    text = _words(request)
    if len(text) > 3000:
        raise Refused("TextLengthExceededException", "Maximum text length has been exceeded")
    return text, say(text, int(rate))


def _words(request: Mapping[str, Any]) -> str:
    if request.get("TextType", "text") == "text":
        return request["Text"]
    try:
        root = ElementTree.fromstring(request["Text"])
    except ElementTree.ParseError as e:
        raise Refused("InvalidSsmlException", "Invalid SSML request") from e
    if root.tag != "speak":
        raise Refused("InvalidSsmlException", "Invalid SSML request")
    return "".join(root.itertext())
