"""Texts that rules keep and drop, in Chinese and English: one good text of each form, and for each fault a text with it.

All of them are written for the tests. A fault is made from the good page of the language, so that few other rules notice.
"""

from __future__ import annotations

PAGE = {
    "zho": "村里的老桥建于一百多年前，桥面由青石板铺成，中间已经被车轮磨出两道浅沟。每到秋天，附近的居民会把收好的玉米和豆子"
    "晒在栏杆上，远远望去像一条彩色的带子。\n去年夏天的洪水冲走了北边的桥墩，很多人以为它再也修不好了。县里派来一位年轻的工程师，"
    "他先测量水深，再请老石匠讲解当年怎样凿榫、怎样灌浆。\n工程师说，旧办法并不落后：糯米和石灰混在一起，干了以后比水泥还有韧性。"
    "于是他们照着老图纸重新砌好桥墩，只在水下加了一圈钢筋。\n修桥的三个月里，孩子们坐渡船上学，渡口的大爷从来没有收过他们的钱。"
    "通车那天下着小雨，第一个走过去的是那位九十岁的石匠，后面跟着全村的人。\n现在的桥头立着一块小石碑，上面没有领导的题字，"
    "只刻着每个参加修桥的人的名字，按姓氏笔画排列。有人问为什么不写年份，石匠笑着回答：水知道，石头也知道。\n",
    "eng": "The old bridge was built more than a century ago, and its deck of grey slabs has two shallow ruts that wheels have "
    "worn. Every autumn the people who live nearby spread maize and beans along the railing to dry, so that from a distance "
    "it looks like a ribbon of many colours.\nLast summer a flood carried away the northern pier, and most of us thought "
    "that it could never be repaired. The county sent a young engineer, who measured the depth of the water first and then "
    "asked an old mason to explain how joints were cut and mortar was poured in his day.\nShe found that the old method was "
    "by no means a poor one: lime mixed with rice paste dries slowly, but it gives way a little where cement would crack. "
    "They rebuilt the pier from the original drawings with only a ring of steel below the surface.\nFor three months the "
    "children crossed by ferry, and the man at the landing never took any money from them. On the day of the opening it "
    "rained; the first to walk over was the mason, ninety years of age, followed by the whole village.\nToday a small stone "
    "stands at the near end. It bears no speech and no seal, just the names of everyone who worked there, in the order of "
    "the alphabet. When somebody asked why there was no year on it, he smiled and said: the river knows, and so do stones.\n",
}

POST = {
    "zho": "今天终于爬上了山顶，风很大，但是云海真的太美了！ #周末登山# @老同学 下次一起来吧 😊\n",
    "eng": "Finally made it to the top of the ridge today, so windy but the view was worth it! #hiking @oldfriend join us? 😊\n",
}
VERSE = {
    "zho": "雨落在空空的站台，\n灯把影子拉得很长。\n你说过的那句话，\n还挂在昨天的窗上。\n\n火车不知道离别，\n只把铁轨磨得发亮。\n"
    "我数着枕木回家，\n一根一根，数到天亮。\n\n风从麦田里起身，\n把远方的名字吹凉。\n如果春天再来一次，\n请替我敲敲那扇窗。\n\n"
    "井边的梨树开了，\n花瓣落进木桶里漂荡。\n母亲没有抬起头，\n她以为是谁在轻轻地唱。\n",
    "eng": "The rain came down on an empty square,\nThe lamps were drawing shadows thin,\nAnd what you said was hanging there\nTo "
    "let the grey of morning in.\n\nA train has never learned to part,\nIt only keeps the iron bright;\nI count the sleepers "
    "home by heart\nAnd one by one I lose the night.\n\nThe wind is rising from the wheat,\nIt cools the name of every hill;\n"
    "If spring should ever cross this street,\nThen let it knock, and I am still.\n",
}
DIALOGUE = {
    "zho": "店主：您要找什么样的灯？\n客人：能放在书桌上的，不要太亮。\n店主：这一盏可以调，三档都很柔和。\n客人：插头在哪里？\n"
    "店主：不用插，里面有电池，充一次能用十天。\n客人：坏了怎么办？\n店主：拿回来，我们给您修，两年以内不收钱。\n客人：那就要这一盏吧。\n"
    "店主：要不要包起来？\n客人：不用了，我直接带走，谢谢您。\n店主：慢走，欢迎再来看看。\n",
    "eng": "Clerk: What sort of lamp are you looking for?\nGuest: Something for a desk, and not too bright.\nClerk: This one can be "
    "dimmed; it has three settings, and all of them are soft.\nGuest: Where is the plug?\nClerk: There is none. It has a "
    "battery that lasts for ten days.\nGuest: And what happens if it breaks?\nClerk: Bring it back to us. For two years we "
    "will repair it without charge.\nGuest: Then I will have this one.\nClerk: Shall I wrap it up?\nGuest: No, I can carry "
    "it the way it is, thank you.\n",
}
TECHNICAL = {
    "zho": "# 配置日志\n\n服务启动时会读取一个文件，路径由环境变量决定。\n\n## 步骤\n\n- 先建立目录，并且确认当前用户可以写入\n"
    '- 再把下面的内容保存为文件\n\n```\nlevel = "info"\nrotate(days=7)\n```\n\n## 参数\n\n| 名称 | 含义 |\n|---|---|\n| level | 记录的级别，'
    "越低越详细 |\n| days | 保留的天数，过期的文件会被删除 |\n\n修改以后需要重新启动服务才能生效。\n",
    "eng": "# Configure logging\n\nThe service reads a file when it starts, and the path of it is taken from the environment.\n\n"
    "## Steps\n\n- Create the folder and make sure that the current user may write to it\n- Save the following lines to a "
    'file\n\n```\nlevel = "info"\nrotate(days=7)\n```\n\n## Parameters\n\n| Name | Meaning |\n|---|---|\n| level | How much is '
    "recorded, from little to all |\n| days | Age at which a file is deleted |\n\nRestart the service to make a change "
    "take effect.\n",
}
TABLE = {
    "zho": "城市|人口（万人）|面积（平方公里）|主要河流\n" + "".join(
        f"{city}|{n}|{n * 7}|{river}\n" for city, n, river in (
            ("青石市", 312, "清水河与白沙江"), ("云岭市", 95, "云岭溪"), ("东湾市", 640, "东湾的入海水道"),
            ("南坪市", 188, "南坪河"), ("北原市", 77, "在北原没有大河"), ("长乐市", 402, "长乐运河和支流"),
            ("桃林市", 59, "桃林小溪"), ("松江口市", 233, "松江的下游"),
        )),
    "eng": "City|Inhabitants|Area|Rivers\n" + "".join(
        f"{city}|{n}|{n * 7}|{river}\n" for city, n, river in (
            ("Graystone", 312, "the Clear Water and the Sand"), ("Cloud Ridge", 95, "Ridge Brook"),
            ("East Bay", 640, "the channel to the sea"), ("Southfield", 188, "South River"), ("Northmoor", 77, "none of note"),
            ("Longjoy", 402, "Joy Canal with its arms"), ("Peachwood", 59, "Peach Brook"), ("Pinemouth", 233, "lower Pine"),
        )),
}  # fmt: skip
CODE = {
    "zho": "def mean(values):\n    # 求一组数的平均值，空的时候返回零\n    total = 0\n    for value in values:\n        total += value\n"
    "    return total / max(len(values), 1)\n\n\ndef spread(values):\n    # 每个数与平均值的差的平方和\n    middle = mean(values)\n"
    "    return sum((value - middle) ** 2 for value in values)\n\n\nassert mean([1, 2, 3]) == 2\nassert spread([1, 2, 3]) == 2\n",
    "eng": "def mean(values):\n    # the mean of a list of numbers, zero if it has none\n    total = 0\n    for value in values:\n"
    "        total += value\n    return total / max(len(values), 1)\n\n\ndef spread(values):\n    # sum of the squares of what "
    "each of them is away from it\n    middle = mean(values)\n    return sum((value - middle) ** 2 for value in values)\n\n\n"
    "assert mean([1, 2, 3]) == 2\nassert spread([1, 2, 3]) == 2\n",
}
SUBTITLES = {
    "zho": "".join(
        f"{i}\n00:0{i}:01,000 --> 00:0{i}:04,500\n{line}\n\n" for i, line in enumerate((
            "船什么时候开？", "等潮水涨上来就走，你先把行李放好。", "我从来没有见过这么大的浪。", "别怕，他在这条线上跑了三十年。",
            "那边亮着的是什么地方？", "是灯塔，看见它就快到了。", "我想写信告诉母亲。", "到了岸上再写，纸会湿的。",
        ), 1)),
    "eng": "".join(
        f"{i}\n00:0{i}:01,000 --> 00:0{i}:04,500\n{line}\n\n" for i, line in enumerate((
            "When does the boat leave?", "With the tide. Put your bags over there.", "I have never seen waves like that.",
            "Don't be afraid. He has sailed this line for thirty years.", "What is that light to the left of us?",
            "The lighthouse. When you see it we are nearly there.", "I want to write and tell my mother.",
            "Wait until we are ashore, or the paper will be wet.",
        ), 1)),
}  # fmt: skip
JSON = {
    "zho": '{"name": "查询天气", "arguments": {"城市": "青石市", "日期": ["今天", "明天"], "单位": "摄氏度"}, "id": 17}\n',
    "eng": '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Graystone", "days": [1, 2], "unit": null}}\n</tool_call>\n',
}
NOTICE = {
    "zho": "本周六上午九点，村委会在桥头的空地上组织大家清理河道，请每户来一个人，自己带上手套和雨鞋。中午在祠堂一起吃饭，不用交钱。"
    "如果下雨，就改到下一周的同一个时间，到时候不再另外通知，大家互相转告一下。\n河道里的水草由村里的拖拉机运走，可以拿回去沤肥。\n",
    "eng": "On Saturday at nine we meet at the bridge to clear the river bed, and every house is asked to send one person with "
    "gloves and boots. There will be a meal at noon in the hall, for which nobody has to pay anything at all.\nIf it rains "
    "that day we do it one week later at the same hour; there will be no other notice.\n",
}
LETTER = {
    "zho": "外婆：\n我们9月12日下午3点到的家\n路上下雨，不过孩子们一直很乖\n您给的桂花糕已经被大家吃完了，妹妹说比城里店里卖的好吃得多，问您能不能教她"
    "怎么做，她想在10月8日奶奶过生日的时候试一试，也请您把蒸的时间写给她。\n天凉了，记得把厚被子拿出来晒\n爸爸月底回去看您\n",
    "eng": "Dear aunt,\nwe got home on the 12th at 3:15 in the afternoon\nIt was raining, but the children were good\nThe cake "
    "that you gave us is eaten; Ann says it is better than what they sell in town for 9 dollars, and asks whether you "
    "would tell her how it is made and how long it has to stay in the oven.\nIt is getting cold, so have the stove looked at\n"
    "Dad will come on the 30th\n",
}

FORMS = {
    "page": PAGE, "post": POST, "verse": VERSE, "dialogue": DIALOGUE, "technical": TECHNICAL, "table": TABLE, "code": CODE,
    "subtitles": SUBTITLES, "json": JSON,
}  # fmt: skip

_MENU = {
    "zho": "首页\n新闻中心\n产品展示\n在线留言\n联系我们\n",
    "eng": "Home\nOur news\nProducts\nShop with us\nContact\n",
}
_WORDS = {
    "zho": "山水田园风花雪月春夏秋冬东南西北",
    "eng": "hill lake farm wood wind snow moon leaf road gate barn mill stone".split(),
}


def _lines(text: str) -> list[str]:
    return text.strip().split("\n")


def _join(lang: str, units: list[str]) -> str:
    return "".join(units) if lang == "zho" else " ".join(units)


def faults(lang: str) -> dict[str, str]:
    """Texts with one fault each, by what is wrong."""
    page, words = PAGE[lang], _WORDS[lang]
    lines = _lines(page)
    mark, stop = ("。", "的") if lang == "zho" else (".", "the")
    sentence = f"{_join(lang, list(words[:9]))}{mark}\n"
    many = "\n".join(
        f"{_join(lang, [words[(i * k) % len(words)] for k in (1, 2, 3, 5, 7)])}{i}" for i in range(400)
    )
    return {
        "empty of words": "……",
        "short": lines[0][:24] + mark,
        "short verse": {"zho": "雨落在空台，\n风吹进小巷。\n灯\n也凉。", "eng": "Rain on the stones,\nWind in the trees,\nAll that we "
            "owned\nGone to the seas."}[lang],
        "short post": {"zho": "#早安# 大家今天好呀", "eng": "so good today #hi"}[lang],
        "one sentence": page.replace("。", "，").replace(". ", ", ").replace(".", ",").replace("：", "，").replace("?", ",")
        .replace("；", "，").replace("!", ","),
        "long": "".join(page.replace("三" if lang == "zho" else "three", str(i)) for i in range(60)),
        "very long": page * (60 if lang == "zho" else 600),
        "endless sentences": "".join(f"{_join(lang, [words[i % 7], stop, words[i % 11]])}{mark}\n" for i in range(7600)),
        "digits": page[:200] + " 3141592653 2718281828" * 40,
        "numbers": "\n".join(" ".join(str((i * k * 7919) % 9973) for k in range(1, 12)) for i in range(1, 40)),
        "number table": "\n".join(f"{words[i % 9]}|{i * 7919}|{i * 104729}|{i * 1299709}|{i * 15485863}" for i in range(9, 60)),
        "number code": "\n".join(f"x[{i}] = {i * 15485863} + {i * 32452843} + {i * 49979687}" for i in range(9, 60)),
        "number cues": "\n".join(f"00:00:{i}.000 --> 00:00:{i}.500\n{i * 7919} {stop} {i * 104729}" for i in range(10, 50)),
        "hash marks": "# # # # # # # # " * 12 + lines[0].replace("。", "，"),
        "hash lines": "\n".join(f"# # # # {words[i % 9]} {words[i % 7]} {stop} {stop}" for i in range(40)),
        "ellipses": page.replace("，", "……，").replace(" ", "... ")
        if lang == "eng" else "".join(f"{char}…" for char in page[:200]),
        "cut lines": "\n".join(f"{line}…" for line in lines * 3),
        "read more": "\n".join(f"{line[:60]} {'展开' if lang == 'zho' else 'read more'}" for line in lines * 2),
        "bullets": "\n".join(f"- {line[:30]}" for line in (page + DIALOGUE[lang]).split("\n") if line),
        "menu": _MENU[lang] + many.replace("0", ""),
        "menu of sentences": "".join(f"{a}\n" for a in _MENU[lang].split()) * 3 + "\n".join(f"{w} {i}" for i, w in enumerate(words)),
        "headlines": "\n".join(f"{line[:16]}" for line in page.replace("，", "\n").replace(", ", "\n").split("\n")),
        "symbols": page[:120] + " → ★ ¥ § ± × ÷ ≈ ≠ ≤" * 40,
        "punctuation of none": "".join(char for char in page if char.isalnum() or char in " \n"),
        "foreign words": _join(lang, ["qzx", "vlk"] * 120) if lang == "eng" else "Internationalization " * 30 + "中文的" * 3,
        "no stop words": _join(lang, list(words) * 8),
        "one stop word": _join(lang, [*(list(words) * 20), stop]),
        "no words of prose": "\n".join(f"f{i} = {words[i % 9]}[{i % 7}](x{i})" for i in range(60)),
        "letters": _join("eng", ["a", "i", "to", "of", "be"] * 30),
        "long words": " ".join(["antidisestablishmentarianism" * 2, stop, "to", "of"] * 20),
        "capitals": page.upper(),
        "few characters": _join(lang, list(words[:3]) * 200),
        "few words": _join(lang, [*words[:2], stop, "to" if lang == "eng" else "在"] * 40),
        "brackets": page[:300] + "【" + lines[1][:80] + "】" + "【" + lines[2][:80] + "】",
        "braces": page + "{}" * 60,
        "lorem ipsum": page + "Lorem ipsum dolor sit amet.",
        "duplicate lines": "\n".join(lines[:2] * 4),
        "short duplicate lines": page + f"{words[0]}{stop}\n" * 40,
        "duplicate paragraphs": "\n\n".join(lines * 2),
        "small duplicate paragraphs": "\n\n".join([*lines, *(["***"] * 9)]),
        "duplicate verse": VERSE[lang] * 3,
        "duplicate dialogue": DIALOGUE[lang] * 8,
        "duplicate code": CODE[lang] * 9,
        "duplicate short code": CODE[lang] * 2,
        "top words": "".join(f"{_join(lang, list(words[:k]))}{mark} {line}\n" for line in lines for k in (2, 3, 4) for _ in range(9)),
        "sentence again": page + sentence * 30,
        "shuffled": _join(lang, [stop, "of" if lang == "eng" else "的", "hill", "the", "to", "lake", "and", "farm"] * 12)
        + "\n" + "the of hill the to lake and farm " * 12,
        "broken characters": page.replace("，", "\ufffd").replace(" a", "\ufffd").replace(" t", "\ufffd"),
        "broken table": TABLE["zho"].encode().decode("gb18030", "replace")
        if lang == "zho" else TABLE["eng"].replace("e", "â€™").replace("a", "Ã©").replace("o", "\ufffd").replace("i", "Â¡"),
        "broken json": JSON[lang].replace("}", "", 1),
        "low score": page,
    }  # fmt: skip
