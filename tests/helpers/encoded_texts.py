"""The same passage in five languages, to be encoded and decoded."""

from __future__ import annotations

ZH_HANS = "三月的风吹过湖面，岸边的柳树刚刚发芽。他把信折好放进口袋，沿着小路慢慢走回村子。" * 3
ZH_HANT = "三月的風吹過湖面，岸邊的柳樹剛剛發芽。他把信摺好放進口袋，沿著小路慢慢走回村子。" * 3
JA = "三月の風が湖の上を渡り、岸の柳がちょうど芽を出したところだ。手紙をポケットに入れて歩いた。" * 3
KO = "삼월의 바람이 호수 위로 불고 물가의 버드나무는 막 싹을 틔웠다. 그는 편지를 접어 주머니에 넣었다. " * 3
FR = (
    "L’été dernier, nous avons marché jusqu’à la forêt où habitait son frère aîné ; c’était très agréable. "
    * 3
)
