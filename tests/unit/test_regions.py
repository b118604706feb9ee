import pytest

from voicecore.catalog import models, regions
from voicecore.catalog.pipelines import PIPELINES
from voicecore.catalog.pipelines.record import regions_of, services_of, used_by


@pytest.mark.parametrize(
    ("typo", "meant"),
    [("us-est-1", "us-east-1"), ("eu-nort-1", "eu-north-1"), ("mars-north-1", "eu-north-1")],
)
def test_finds_region_closest_to_typo(typo: str, meant: str) -> None:
    assert regions.closest(typo, regions.AGENTCORE) == meant


def test_finds_no_region_for_unrelated_word() -> None:
    assert regions.closest("kitchen", regions.AGENTCORE) is None


@pytest.mark.parametrize(
    ("region", "prefix"),
    [
        ("us-east-1", "us."),
        ("ca-central-1", "us."),
        ("eu-central-1", "eu."),
        ("eu-west-2", "global."),
        ("ap-northeast-1", "jp."),
        ("ap-southeast-2", "global."),
        ("us-gov-west-1", "us-gov."),
    ],
)
def test_inference_profile_has_prefix_of_region(region: str, prefix: str) -> None:
    model = models.NOVA_2_LITE
    assert model.name_in(region) == f"{prefix}{model.id}"
    assert models.NOVA_2_5_SONIC.name_in(region) == models.NOVA_2_5_SONIC.id


@pytest.mark.parametrize(
    ("name", "region", "called"),
    [
        ("amazon.nova-pro-v1:0", "eu-west-1", "amazon.nova-pro-v1:0"),
        ("eu.amazon.nova-pro-v1:0", "eu-west-1", "eu.amazon.nova-pro-v1:0"),
        ("us-gov.amazon.nova-pro-v1:0", "us-gov-west-1", "us-gov.amazon.nova-pro-v1:0"),
        ("openai.gpt-oss-120b-1:0", "us-west-2", "openai.gpt-oss-120b-1:0"),
        ("mistral.mistral-large-2402-v1:0", "us-west-2", "mistral.mistral-large-2402-v1:0"),
        ("meta.llama3-1-8b-instruct-v1:0:128k", "us-west-2", "meta.llama3-1-8b-instruct-v1:0:128k"),
        ("amazon.nova-2-lite-v1:0", "us-east-1", "us.amazon.nova-2-lite-v1:0"),
        ("global.amazon.nova-2-lite-v1:0", "us-east-1", "global.amazon.nova-2-lite-v1:0"),
    ],
)
def test_text_model_is_called_by_its_id_or_profile(name: str, region: str, called: str) -> None:
    model = models.text_model(name)
    assert model and model.name_in(region) == called and region in model.regions


@pytest.mark.parametrize(
    "name", ["", "claude", "nova-lite", "gpt-4.1", "arn:aws:bedrock:x", "amazon.nova-2-sonic-v1:0"]
)
def test_other_names_are_no_text_models(name: str) -> None:
    assert models.text_model(name) is None


@pytest.mark.parametrize(
    ("prefix", "region", "offered"),
    [
        ("us", "us-east-1", True),
        ("us", "us-gov-west-1", False),
        ("us", "eu-west-1", False),
        ("eu", "eu-west-1", True),
        ("jp", "ap-northeast-1", True),
        ("jp", "ap-northeast-2", False),
        ("apac", "ap-south-1", True),
        ("us-gov", "us-gov-west-1", True),
        ("global", "sa-east-1", True),
        ("global", "us-gov-west-1", False),
    ],
)
def test_inference_profile_is_offered_in_its_geography(
    prefix: str, region: str, offered: bool
) -> None:
    model = models.text_model(f"{prefix}.anthropic.claude-x")
    assert model and (region in model.regions) is offered
    cascade = PIPELINES["cascade"]
    chosen = {"stt": "deepgram", "llm": f"{prefix}.anthropic.claude-x", "tts": "cartesia"}
    assert (region in regions_of(cascade, chosen)) is offered


def test_pipeline_is_offered_where_all_its_services_are() -> None:
    cascade = PIPELINES["cascade"]
    assert "eu-north-1" not in regions_of(cascade, services_of(cascade, {}))
    assert "eu-north-1" in regions_of(cascade, services_of(cascade, {"stt": "deepgram"}))
    assert regions_of(PIPELINES["offline"], {}) == regions.AGENTCORE


def test_regions_without_kvs() -> None:
    assert set(regions.AGENTCORE) - set(regions.KVS) == {
        "us-west-1", "eu-south-1", "eu-north-1", "ap-south-2", "ap-southeast-7", "us-gov-west-1",
    }  # fmt: skip


def test_pipeline_uses_the_default_or_the_chosen_services() -> None:
    sonic = PIPELINES["nova-sonic"]
    assert [s.name for s in used_by(sonic, services_of(sonic, {}))] == ["nova-2-5-sonic"]
    older = services_of(sonic, {"speech_to_speech": "nova-2-sonic"})
    assert [s.name for s in used_by(sonic, older)] == ["nova-2-sonic"]
    cascade = PIPELINES["cascade"]
    chosen = used_by(cascade, services_of(cascade, {"tts": "cartesia"}))
    assert [service.name for service in chosen] == ["transcribe", "nova-lite", "cartesia"]
    assert [service.key for service in chosen] == ["", "", "CARTESIA_API_KEY"]
