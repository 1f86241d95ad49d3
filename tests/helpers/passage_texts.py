"""Texts for builds with repeated passages: notices to repeat, and random prose that repeats nowhere."""

from __future__ import annotations

import random

WELL = (
    "村口的老井在去年冬天修好了。村民们凑钱换了新的井绳，又在井边铺上石板，下雨天挑水再也不会滑倒。老会计把每一笔开支写在红纸上，"
    "贴在祠堂门口，谁出了多少，买了什么，一目了然。孩子们放学路过，总要趴在井沿上喊一声，听自己的回音。"
)
FERRY = (
    "The ferry leaves the northern pier at seven and reaches the island before noon. Passengers bring their own lunch, "
    "because the canteen has been closed since the cook retired. On calm days the captain lets the children steer, and "
    "nobody has ever complained about the detour that follows."
)
NOTICE = (
    "各位读者请注意，本馆将于下月初开始整理书库，期间三楼阅览室暂停开放，借书与还书照常在一楼大厅办理。已经预约的图书会为您保留"
    "到整理结束之后的第二个星期，届时请凭读者证领取；如有疑问，可以在服务台登记姓名与书名，工作人员会尽快给您答复。谢谢您的理解。"
)
MEETING = (
    "会议决定从今年秋天起试行新的排班办法：每个小组轮流值守周末，每次两人，其中一人必须熟悉设备；值守的人第二天可以晚到两个小时。"
    "试行三个月以后，由各组提出修改意见，再交全体会议讨论。对于家里有老人或孩子需要照顾的同事，组长应当事先征求本人的意见再安排。"
)
LETTERS = "的一是了我不人在他有这个上们来到时大地为子中你说生国年着就那和要她出也得里后自以会家可下而过天去能对小多然于"


def prose(seed: int, n_chars: int) -> str:
    """Characters that no other seed repeats at length."""
    return "".join(random.Random(seed).choices(LETTERS, k=n_chars))


SOLVED = (
    "题目：一个水池有两根进水管，单开甲管六小时注满，单开乙管三小时注满，两管齐开几小时注满？\n"
    "解：第一步，甲管每小时注六分之一，即1/6。\n第二步，乙管每小时注三分之一，即1/3。\n第三步，1/6+1/3=1/2。\n"
    "所以两管齐开2小时注满。\n答：2小时。"
)
