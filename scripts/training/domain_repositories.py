"""Collect running text for the domain model from public repositories, as `domain_data.py` does from packages.

Reads a folder of git repositories (owner+name/repo, at the commits of REPOSITORIES, without a work tree) and writes one
Parquet file with the columns text, source (owner/name), language and domain, which is null if the text has no single
domain. The texts stay with their publishers; the model keeps no text.

Example: python -m scripts.training.domain_repositories --repositories FOLDER --out domain_repositories.parquet
"""

from __future__ import annotations

import argparse
import html
import json
import random
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from scripts.training.domain_data import Document, groups
from scripts.training.train_intact import cut, plain

REPOSITORIES = {
    "649453932/Bert-Chinese-Text-Classification-Pytorch": "050a7b0dc75d8a2d7fd526002c4642d5329a0c27",
    "CLUEbenchmark/FewCLUE": "62a02c6f31cf32814cfe522f78ef088228840f8d",
    "FreemanKevin/Meowtopia": "d4b41cbf7781606dc93a1585c817004b26244e6b",
    "LukeSmithxyz/based.cooking": "2d8642ec41ccc6162ec3123c15024dd3d22cc33b",
    "Murrough-Foley/web-content-extraction-benchmark": "c039d5ee9f5a3a984a0e167e63aacd04e76e78a9",
    "Saelaress/web-content-extraction-benchmark-extended": "8cce07d74e80fef07689128d8215a1322c22e069",
    "facert/beijing_house_knowledge": "cd236653dd40688e47588cd1e052052abfa85053",
    "geekan/HowToLiveLonger": "81c562a3c302ad54b75df73657373cc102384f95",
    "houshanren/hangzhou_house_knowledge": "4d078b02541d01545632f1606e87602eeddb32d3",
    "nonamestreet/weixin_public_corpus": "53c61caeeab6f83b29a5e1c55dbebb18e21ff8b1",
    "openstax/osbooks-business-law": "0502c9f293fdb7745b76c4d7855d49acdaf8098b",
    "openstax/osbooks-introduction-anthropology": "418eedd9bef21ec1a6fa1b472c0d82c084e35c70",
    "openstax/osbooks-introduction-philosophy": "ec6340117385f06d8e094850bade8948fe7ba002",
    "openstax/osbooks-world-history": "b2ddac6d5ab41847257c1484ee9271576d1a053e",
    "project-polymorph/zhihu-archive": "67d7854f91e62ef709688ab05b04323d9ef19e8d",
    "stanfordnlp/cocoa": "52fb2d47a28537c7892f146a8972a75bcde4812c",
    "theowenyoung/clip": "1268616309cc68b3eb3bb714e431cb0a32db1154",
    "thu-coai/KdConv": "653db76432de09a004ba708a68f8bbd5500e6bec",
}  # fmt: skip
"""Repository -> commit."""

PAGES = {
    "FreemanKevin/Meowtopia": (r"docs/.*\.md", "zh", "Pets & Animals"),
    "LukeSmithxyz/based.cooking": (r"content/.*\.md", "en", "Food & Drink"),
    "facert/beijing_house_knowledge": (r".*\.md", "zh", "Real Estate"),
    "geekan/HowToLiveLonger": (r"README\.md", "zh", "Health"),
    "houshanren/hangzhou_house_knowledge": (r".*\.md", "zh", "Real Estate"),
    "openstax/osbooks-business-law": (r"modules/.*\.cnxml", "en", "Law & Government"),
    "openstax/osbooks-introduction-anthropology": (r"modules/.*\.cnxml", "en", "People & Society"),
    "openstax/osbooks-introduction-philosophy": (r"modules/.*\.cnxml", "en", "People & Society"),
    "openstax/osbooks-world-history": (r"modules/.*\.cnxml", "en", "People & Society"),
    "theowenyoung/clip": (r"content/.*/index\.md", "en", None),
}
"""Repository of pages -> pattern of their paths, language, domain."""

TITLES = {"3": "Jobs & Education", "1": "Real Estate", "0": "Finance", "2": "Finance", "7": "Sports", "8": "Games",
          "9": "Arts & Entertainment"}  # fmt: skip
"""Class of a news title -> domain."""
NEWS = {
    "car": "Autos & Vehicles", "edu": "Jobs & Education", "entertainment": "Arts & Entertainment",
    "finance": "Finance", "game": "Games", "house": "Real Estate", "sports": "Sports", "stock": "Finance",
    "travel": "Travel & Transportation",
}  # fmt: skip
"""Class of a short news title, without its prefix news_ -> domain."""
APPS = {
    "Autos & Vehicles": "汽车交易 汽车咨询 日常养车 行车辅助 驾校 违章",
    "Beauty & Fitness": "美妆美业 减肥瘦身 运动健身",
    "Books & Literature": "小说",
    "Finance": "理财 借贷 股票 保险 记账 银行 支付 收款",
    "Food & Drink": "菜谱 外卖 餐饮店",
    "Games": "休闲益智 动作类 策略 经营养成 卡牌 棋牌中心 射击游戏 魔幻 经营 仙侠 飞行空战 MOBA 彩票 体育竞技",
    "Health": "问诊挂号 医疗服务 养生保健",
    "Home & Garden": "装修家居 家政",
    "Internet & Telecom": "即时通讯 免费WIFI",
    "Jobs & Education": "高等教育 中小学 兼职 英语 成人教育 教辅 职考 语言(非英语) 求职 公务员 视频教育",
    "Law & Government": "政务",
    "News": "新闻",
    "Online Communities": "论坛圈子 微博博客 问答交流 社交工具 生活社交",
    "Real Estate": "买房 租房",
    "Shopping": "电商 社区超市 购物咨询 薅羊毛 团购 二手",
    "Sports": "体育咨讯",
    "Travel & Transportation": "公共交通 综合预定 地图导航 旅游资讯 民航 租车 打车 铁路 酒店 民宿短租",
    "Arts & Entertainment": "短视频 音乐 视频 漫画 影视娱乐 艺术 电台 K歌 电影票务",
}
"""Domain -> classes of descriptions of mobile apps."""
STUDIES = {
    "Computers & Electronics": "计算机科学与技术 电子科学与技术",
    "Food & Drink": "食品科学与工程",
    "Health": "基础医学/临床医学 药学 中医学/中药学 口腔医学 公共卫生与预防医学",
    "Home & Garden": "园艺学",
    "Internet & Telecom": "信息与通信工程",
    "Jobs & Education": "教育学",
    "Law & Government": "法学 政治学 公共管理 军事学",
    "Pets & Animals": "畜牧学/兽医学",
    "Science": "生物学/生物科学与工程 化学/化学工程与技术 大气科学 地理学 数学 物理学 地球物理学 天文学 海洋科学",
    "Business & Industrial": "冶金工程 矿业工程 纺织科学与工程 机械工程 石油与天然气工程 工商管理",
    "People & Society": "哲学 民族学 社会学",
    "Sports": "体育学",
}
"""Domain -> classes of summaries of Chinese research papers."""
ADVERTS = {"housing": "Real Estate", "car": "Autos & Vehicles", "furniture": "Home & Garden"}
"""Class of a classified advertisement -> domain."""
BENCHMARKS = "canola|cleanportaleval|google-trends-2017|l3s-gn1|newspaper3k|readability|scrapinghub"
DIALOGUES = {
    "film": "Arts & Entertainment",
    "music": "Arts & Entertainment",
    "travel": "Travel & Transportation",
}


class Repository:
    """Files of one commit of a bare repository."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name, self.path = name, folder / name.replace("/", "+") / "repo"
        self.commit = REPOSITORIES[name]

    def git(self, *arguments: str) -> str:
        """Output of a git command. Raises: CalledProcessError if it fails."""
        command = ["git", "-C", str(self.path), "-c", "core.quotepath=off", *arguments]
        return subprocess.run(command, check=True, capture_output=True).stdout.decode("utf-8", "replace")

    def paths(self, pattern: str) -> list[str]:
        """Sorted paths that match a pattern as a whole."""
        names = self.git("ls-tree", "-r", "-z", "--name-only", self.commit).split("\0")
        return sorted(name for name in names if re.fullmatch(pattern, name))

    def read(self, path: str) -> str:
        """Text of a file."""
        return self.git("show", f"{self.commit}:{path}")

    def lines(self, path: str) -> list[dict[str, str]]:
        """Rows of a file of JSON lines."""
        return [json.loads(line) for line in self.read(path).split("\n") if line.strip()]


def without_tags(text: str) -> str:
    """Text of HTML or CNXML, a line per paragraph."""
    text = re.sub(r"(?s)<metadata.*?</metadata>|<script.*?</script>|<style.*?</style>", " ", text)
    text = re.sub(r"</(p|para|title|item|li|div|h\d)>|<br ?/?>", "\n", text)
    text = html.unescape(re.sub(r"<[^>]*>", " ", text))
    return "\n".join(line for line in (" ".join(part.split()) for part in text.split("\n")) if line)


def pages(folder: Path, name: str, per_source: int, rng: random.Random) -> Iterator[Document]:
    """Passages of pages in Markdown or CNXML; a page without words of its language is left out."""
    pattern, language, domain = PAGES[name]
    repository = Repository(folder, name)
    texts = []
    for path in repository.paths(pattern):
        raw = repository.read(path)
        text = (
            without_tags(raw) if path.endswith("cnxml") else plain(re.sub(r"(?s)\A---\n.*?\n---\n", "", raw))
        )
        n_han = len(re.findall(r"[\u3400-\u9fff]", text))
        if len(text) >= 200 and (n_han > 0.2 * len(text)) == (language == "zh"):
            texts.append(text)
    for _ in range(min(per_source, sum(1 + len(text) // 1500 for text in texts))):
        yield Document(cut(rng.choice(texts), rng), name, language, domain)


def news_titles(folder: Path, rng: random.Random) -> Iterator[Document]:
    """Chinese news titles, four of one class per document."""
    repository, by_class = (
        Repository(folder, "649453932/Bert-Chinese-Text-Classification-Pytorch"),
        defaultdict(list),
    )
    for name in ("dev", "test"):
        for line in repository.read(f"THUCNews/data/{name}.txt").split("\n"):
            title, _, label = line.partition("\t")
            by_class[label].append(title)
    for label, titles in sorted(by_class.items()):
        rng.shuffle(titles)
        for text in list(groups(titles, 4, "\n"))[:300]:
            yield Document(text, repository.name, "zh", TITLES.get(label))


def classes(folder: Path, rng: random.Random) -> Iterator[Document]:
    """Descriptions of apps, summaries of papers and news titles in Chinese, by their classes."""
    repository = Repository(folder, "CLUEbenchmark/FewCLUE")
    for task, key, table in (("iflytek", "label_des", APPS), ("csldcp", "label", STUDIES)):
        domains = {label: domain for domain, labels in table.items() for label in labels.split()}
        rows = [
            row for part in ("train_few_all", "dev_few_all", "test_public")
            for row in repository.lines(f"datasets/{task}/{part}.json")
        ]  # fmt: skip
        for row in rows:
            yield Document(
                row.get("sentence", row.get("content", ""))[:800],
                repository.name,
                "zh",
                domains.get(row[key]),
            )
    by_class = defaultdict(list)
    for part in ("train_few_all", "dev_few_all", "test_public"):
        for row in repository.lines(f"datasets/tnews/{part}.json"):
            by_class[row["label_desc"].removeprefix("news_")].append(row["sentence"])
    for label, titles in sorted(by_class.items()):
        for text in groups(titles, 4, "\n"):
            yield Document(text, repository.name, "zh", NEWS.get(label))
    titles = [row["sentence"] for row in repository.lines("datasets/tnews/unlabeled.json")]
    for text in rng.sample(titles, 1000):
        yield Document(text, repository.name, "zh", None)


def extracted(folder: Path, rng: random.Random) -> Iterator[Document]:
    """Main text of web pages of benchmarks of extraction, mostly English."""
    first, second = (f"{name}/web-content-extraction-benchmark" for name in ("Murrough-Foley", "Saelaress"))
    repository = Repository(folder, first)
    for path in repository.paths(r"(dev|test)/ground-truth/.*\.json"):
        yield Document(
            json.loads(repository.read(path))["ground_truth"].get("main_content") or "", first, "en", None
        )
    repository = Repository(folder, f"{second}-extended")
    for path in repository.paths(rf"outputs/model-outputs/({BENCHMARKS})/trafilatura\.jsonl"):
        for row in repository.lines(path):
            yield Document(row["plaintext"] or "", repository.name, "en", None)


def adverts(folder: Path, rng: random.Random) -> Iterator[Document]:
    """Classified advertisements in English."""
    repository = Repository(folder, "stanfordnlp/cocoa")
    for path in repository.paths(r"craigslistbargain/scraper/data/negotiation/craigslist_\w+\.json"):
        kind = path.rsplit("_", 1)[1].removesuffix(".json")
        rows = json.loads(repository.read(path))
        for row in rng.sample(rows, min(250, len(rows))):
            text = "\n".join([row["title"], *row["description"]])
            yield Document(text, repository.name, "en", ADVERTS.get(kind))


def dialogues(folder: Path, rng: random.Random) -> Iterator[Document]:
    """Chinese dialogues about films, music and travel."""
    repository = Repository(folder, "thu-coai/KdConv")
    for subject, domain in DIALOGUES.items():
        for row in json.loads(repository.read(f"data/{subject}/dev.json")):
            text = "\n".join(turn["message"] for turn in row["messages"])
            yield Document(text, repository.name, "zh", domain)


def answers(folder: Path, rng: random.Random) -> Iterator[Document]:
    """Chinese answers of a community site, and posts of messenger channels."""
    repository = Repository(folder, "project-polymorph/zhihu-archive")
    paths = repository.paths(r"\.github/download/data/(questions/.*/answers|articles)/.*\.json")
    for path in rng.sample(paths, min(500, len(paths))):
        yield Document(
            without_tags(json.loads(repository.read(path)).get("content") or ""), repository.name, "zh", None
        )
    repository = Repository(folder, "nonamestreet/weixin_public_corpus")
    for line in repository.read("preview.json").split("\n"):
        if line.strip():
            yield Document(re.sub(r"\n+", "", json.loads(line)["content"]), repository.name, "zh", None)


def collect(folder: Path, per_source: int, seed: int) -> Iterator[Document]:
    """All documents in a fixed order; each source has its own random generator."""
    for name in PAGES:
        yield from pages(folder, name, per_source, random.Random(seed))
    for source in (news_titles, classes, extracted, adverts, dialogues, answers):
        yield from source(folder, random.Random(seed))


def main() -> None:
    """Read the command line and collect."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--repositories", type=Path, required=True, help="folder of git repositories")
    parser.add_argument("--out", type=Path, default=Path("domain_repositories.parquet"))
    parser.add_argument(
        "--per-source", type=int, default=400, help="maximum number of passages of a repository of pages"
    )
    arguments = parser.parse_args()
    seen, rows = set(), []
    for document in collect(arguments.repositories, arguments.per_source, 1):
        text = document.text.strip()[:3000]
        if len(text) >= 30 and text not in seen:
            seen.add(text)
            rows.append(document._replace(text=text)._asdict())
    pq.write_table(pa.Table.from_pylist(rows), arguments.out, compression="zstd")


if __name__ == "__main__":
    main()
