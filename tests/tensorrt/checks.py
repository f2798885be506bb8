"""The check itself: what a source uses against what a binding offers, and against what a recording fake saw."""

from tests.tensorrt.source_uses import uses_of


def refusals(source, api, *, file, alias="trt"):
    """Return a sentence for each use that a binding does not allow; none is what one wants.

    Args:
        source: The text.
        api: The binding.
        file: What to call the source.
        alias: The name by which the source knows the module.
    """
    found = []
    for use in uses_of(source, api, alias=alias):
        reason = _refusal(use, api)
        if reason:
            found.append(f"{api.version}: {use} {reason} ({file}:{use.line})")
    return list(dict.fromkeys(found))


def _refusal(use, api):
    member = api.member(use.owner, use.name)
    if member is None:
        return "is not there"
    if use.stored and not (member.kind == "property" and member.settable):
        return "cannot be set"
    if use.call is None or member.kind == "class":
        return None
    if member.kind != "function":
        return "cannot be called"
    reasons = [signature.refusal(*use.call) for signature in member.signatures]
    return None if None in reasons else reasons[0]


def differences(sources, api, record):
    """Return a sentence for each use that the fake did not see, and for each that it saw and no source contains.

    Args:
        sources: The texts that ran over the fake.
        api: A binding, for the types.
        record: What the fake wrote down.
    """
    uses = {use for source in sources for use in uses_of(source, api) if not use.annotation}
    written = {(use.owner, use.name) for use in uses}
    keywords = {(use.owner, use.name, word) for use in uses if use.call for word in use.call[1]}
    return [
        *(f"{_called(one)} stands in the source, and no test makes it happen" for one in sorted(written - record.uses)),
        *(f"{_called(one)} happens, and is not found in the source" for one in sorted(record.uses - written)),
        *(
            f"the keyword {_called(one)} stands in the source, and is not seen"
            for one in sorted(keywords - record.keywords)
        ),
        *(f"the keyword {_called(one)} is seen, and not in the source" for one in sorted(record.keywords - keywords)),
    ]


def _called(names):
    return ".".join(filter(None, names))
