"""Vocabulary of dataset hubs: language codes, licence ids, size classes.

Sources: the Hugging Face hub's dataset card specification (hub-docs/datasetcard.md) and its list of licence ids; ISO
639-1 codes from the Library of Congress's table of ISO 639-2.
"""

from __future__ import annotations

from collections.abc import Iterable

ISO_639_1 = dict(
    pair.split(":")
    for pair in (
        "afr:af amh:am ara:ar asm:as aze:az bak:ba bel:be ben:bn bod:bo bos:bs bre:br bul:bg cat:ca ces:cs chv:cv "
        "cos:co cym:cy dan:da deu:de div:dv ell:el eng:en epo:eo est:et eus:eu fas:fa fin:fi fra:fr fry:fy gla:gd "
        "gle:ga glg:gl glv:gv grn:gn guj:gu hat:ht heb:he hin:hi hrv:hr hun:hu hye:hy ido:io ina:ia ind:id isl:is "
        "ita:it jav:jv jpn:ja kan:kn kat:ka kaz:kk khm:km kir:ky kom:kv kor:ko kur:ku lao:lo lat:la lav:lv lim:li "
        "lit:lt ltz:lb mal:ml mar:mr mkd:mk mlg:mg mlt:mt mon:mn msa:ms mya:my nep:ne nld:nl nno:nn nor:no oci:oc "
        "ori:or oss:os pan:pa pol:pl por:pt pus:ps que:qu roh:rm ron:ro rus:ru san:sa sin:si slk:sk slv:sl snd:sd "
        "som:so spa:es sqi:sq srd:sc srp:sr sun:su swa:sw swe:sv tam:ta tat:tt tel:te tgk:tg tgl:tl tha:th tuk:tk "
        "tur:tr uig:ug ukr:uk urd:ur uzb:uz vie:vi vol:vo wln:wa xho:xh yid:yi yor:yo zho:zh zul:zu"
    ).split()
)
"""ISO 639-3 to ISO 639-1, for languages that have both."""

NO_LANGUAGE = ("mul", "und", "zxx")
"""Labels that do not name a language."""

LICENSE_IDS = frozenset(
    "afl-3.0 agpl-3.0 apache-2.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear bsl-1.0 c-uda cc cc-by-2.0 cc-by-2.5 "
    "cc-by-3.0 cc-by-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 "
    "cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cc-by-nd-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc0-1.0 cdla-permissive-1.0 "
    "cdla-permissive-2.0 cdla-sharing-1.0 ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 gfdl gpl gpl-2.0 gpl-3.0 isc "
    "lgpl lgpl-2.1 lgpl-3.0 mit mpl-2.0 ms-pl ncsa odbl odc-by osl-3.0 pddl postgresql unlicense wtfpl zlib".split()
)
"""Licence ids of the hub, including software licences that are used for text."""

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"),
         (10_000_000, "1M<n<10M"), (100_000_000, "10M<n<100M"), (1_000_000_000, "100M<n<1B"),
         (10_000_000_000, "1B<n<10B"), (100_000_000_000, "10B<n<100B"), (1_000_000_000_000, "100B<n<1T"))  # fmt: skip


def hub_languages(labels: Iterable[str]) -> list[str]:
    """Return the distinct language codes of labels such as `zho_Hans`, sorted; two letters where such a code exists."""
    codes = sorted({label.partition("_")[0] for label in labels} - set(NO_LANGUAGE))
    return [ISO_639_1.get(code, code) for code in codes]


def hub_licenses(names: Iterable[str]) -> list[str]:
    """Return licence ids for the names given in documents: `other` for names without an id, `unknown` for none.

    A remark in brackets after a licence is ignored: "CC-BY-4.0 (a collection)" is cc-by-4.0.
    """
    ids = set()
    for name in names:
        plain = name.partition(" (")[0].strip().lower()
        ids.add(plain if plain in LICENSE_IDS else "other" if plain else "unknown")
    return sorted(ids)


def hub_size(n_documents: int) -> str:
    """Return the hub's size class for a number of documents."""
    return next((name for limit, name in SIZES if n_documents < limit), "n>1T")
