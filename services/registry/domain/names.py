"""Compares Chinese names by how they are confused: by sound, shape, variant and separator, not by bytes.

``normalized`` decides whether two names are equal; ``variants`` returns what a name shares with those it may be
confused with; ``similar`` compares the few names that neither decides (a lost character, a long foreign name).
"""

import re
import unicodedata
from functools import lru_cache

from pypinyin import Style, lazy_pinyin
from rapidfuzz.distance import Levenshtein

LONG_NAME = 5
"""Names of at least this many characters are compared letter by letter, and a part may be missing."""
MIN_SIMILARITY = 0.85
"""Share of letters that must agree in a long name: our own proposal, without an external source."""

_BETWEEN = re.compile(r"[\s·•．.・‧∙⋅･●˙,，、'’ʻ`\-‐–—_\u200b-\u200d\ufeff]+")
_LOST = re.compile("[\ufffd□■▯?？*＊〓某\ue000-\uf8ff\U000f0000-\U0010ffff]")
"""Marks of unreadable characters, and private-use characters, which only their own system can show."""
_LOST_MARK = "□"

_PAIRS = """
    張张 陳陈 劉刘 楊杨 黃黄 趙赵 吳吴 孫孙 馬马 羅罗 鄭郑 謝谢 韓韩 馮冯 蕭萧 鄧邓 許许 葉叶 蘇苏 盧卢 蔣蒋 賈贾
    閻阎 鍾钟 譚谭 陸陆 範范 龔龚 韋韦 魯鲁 龍龙 萬万 錢钱 湯汤 賴赖 顧顾 嚴严 齊齐 鄒邹 賀贺 溫温 莊庄 聶聂 畢毕
    欒栾 歐欧 陽阳 關关 紀纪 龐庞 應应 寶宝 國国 華华 軍军 傑杰 偉伟 強强 彊强 東东 麗丽 紅红 榮荣 雲云 飛飞 鳳凤
    蘭兰 蓮莲 靜静 穎颖 瑩莹 瓊琼 豔艳 艷艳 愛爱 寧宁 甯宁 寗宁 夢梦 夣梦 學学 興兴 廣广 運运 達达 輝辉 煇辉 鋒锋
    銘铭 嬌娇 婭娅 嫻娴 嫺娴 瑤瑶 珮佩 樂乐 義义 禮礼 誠诚 賢贤 貴贵 賓宾 慶庆 勝胜 勳勋 勛勋 勵励 澤泽 濤涛 灝灏
    漣涟 瀟潇 澗涧 潔洁 淨净 淩凌 滬沪 滿满 汎泛 兒儿 萊莱 葦苇 蔭荫 薈荟 蘊蕴 薌芗 藝艺 樺桦 樹树 棟栋 楨桢 檳槟
    權权 極极 構构 煒炜 燁烨 爍烁 燦灿 熒荧 營营 曉晓 曄晔 暘旸 時时 昇升 陞升 錦锦 鈺钰 鈞钧 銳锐 鋼钢 鏡镜 鐵铁
    鵬鹏 鴻鸿 鶴鹤 鷹鹰 麐麟 騰腾 驍骁 駿骏 騫骞 龢和 穌稣 純纯 綺绮 綠绿 緒绪 維维 綱纲 繡绣 縝缜 續续 緣缘 纖纤
    織织 繼继 論论 謙谦 諾诺 詩诗 詠咏 譽誉 讓让 訓训 語语 謹谨 貝贝 財财 贊赞 贇赟 軒轩 輕轻 轅辕 遠远 遙遥 適适
    選选 邁迈 鄉乡 鍵键 長长 門门 開开 閔闵 聞闻 閩闽 陰阴 際际 隨随 雙双 雛雏 難难 霽霁 靈灵 韻韵 頌颂 順顺 頤颐
    題题 願愿 顏颜 風风 颯飒 餘余 髙高 魚鱼 鯤鲲 鳴鸣 鶯莺 鸞鸾 黨党 點点 齡龄 衛卫 衞卫 術术 親亲 覺觉 觀观 記记
    設设 喆哲 嘯啸 園园 圓圆 堯尧 場场 壯壮 壽寿 夀寿 婦妇 媽妈 嬋婵 嬰婴 孃娘 實实 寛宽 寬宽 將将 專专 尋寻 對对
    導导 崗岗 嵐岚 嶺岭 峯峰 巖岩 嵒岩 幀帧 庫库 廬庐 彥彦 從从 徵征 恵惠 憲宪 懷怀 戀恋 戰战 戶户 搖摇 擇择 據据
    數数 斕斓 書书 業业 歡欢 歲岁 歸归 氣气 決决 況况 浄净 涼凉 無无 爾尔 牽牵 獻献 獨独 獲获 環环 現现 瑋玮 璽玺
    瓏珑 璣玑 璦瑷 畫画 發发 皚皑 盡尽 監监 眞真 碩硕 確确 祐佑 祿禄 禎祯 穩稳 窮穷 竇窦 筆笔 節节 簡简 籃篮 糧粮
    聖圣 聰聪 聲声 職职 肅肃 脩修 膽胆 臨临 與与 舉举 舊旧 艸草 芻刍 莖茎 蒼苍 蓋盖 蕓芸 處处 號号 蠶蚕 補补 裝装
    規规 視视 覓觅 計计 訊讯 訪访 証证 評评 詢询 試试 詳详 認认 誼谊 調调 談谈 請请 諒谅 諸诸 謀谋 證证 識识 議议
    護护 讀读 變变
"""
_VARIANTS = {ord(pair[0]): pair[1] for pair in _PAIRS.split()}
"""Traditional forms and variants of the same character, as they occur in names."""

_LOOK_ALIKE = (
    "己已巳", "未末", "土士", "曰日", "晴睛", "栋楝", "戊戌戍成", "汩汨", "沐沭", "泠冷", "柠拧", "冼洗", "崇祟",
    "彤肜", "嫒媛", "暖暧", "赢羸嬴", "祎袆", "昊吴", "妤好", "玥钥", "珏钰", "洺洛", "烨桦", "杨扬", "淮准",
    "茜西", "芊千", "钧钩", "锜琦", "怡恰", "桐铜", "梓锌", "楠南", "澄橙", "旻昱", "苒冉", "莞菀", "诣谐",
)  # fmt: skip
"""Characters confused by eye or by optical recognition. They only ever lead to a clerical review."""
_SHAPES = str.maketrans({character: group[0] for group in _LOOK_ALIKE for character in group[1:]})
_HAS_LOOK_ALIKE = frozenset(character for group in _LOOK_ALIKE for character in group)


def normalized(name: str) -> str:
    """Return the name with width, case, separators and variants folded.

    An unreadable character becomes one mark. The result is empty if nothing of a name is left.
    """
    folded = _BETWEEN.sub("", unicodedata.normalize("NFKC", name)).casefold().translate(_VARIANTS)
    return _LOST.sub(_LOST_MARK, folded)


def variants(plain: str) -> tuple[str, ...]:
    """Return what a normalized name shares with all it may be confused with: its sound and, if misleading, its shape.

    The result is empty for a name with a lost character; such names are compared one by one.
    """
    if not plain or _LOST_MARK in plain:
        return ()
    variants_of_name = ["sound:" + sound(plain)]
    if not _HAS_LOOK_ALIKE.isdisjoint(plain):
        variants_of_name.append("shape:" + plain.translate(_SHAPES))
    return tuple(variants_of_name)


def sound(plain: str) -> str:
    """Return the syllables without tones, with initials and finals folded that the region does not distinguish."""
    return "-".join(_syllable(character) for character in plain)


def unmatchable(plain: str) -> bool:
    """Return whether variants cannot decide for a normalized name: a character lost, long, or not Chinese."""
    return _LOST_MARK in plain or len(plain) >= LONG_NAME or any(character.isascii() for character in plain)


def similar(name: str, other: str) -> bool:
    """Return whether two names may be confused, for names of which one is ``unmatchable``. Symmetrical."""
    one, two = sorted((normalized(name), normalized(other)), key=lambda text: (len(text), text))
    if not one or not two:
        return False
    if _LOST_MARK in one or _LOST_MARK in two:
        return _fits(one, two)
    if min(len(one), len(two)) < LONG_NAME - 1:
        return False
    by_sound, other_sound = sound(one), sound(two)
    return two.startswith(one) or Levenshtein.normalized_similarity(by_sound, other_sound) >= MIN_SIMILARITY


def _fits(one: str, two: str) -> bool:
    """Return whether names differ only in lost characters, with the family name and half of the characters known."""
    if len(one) != len(two):
        return False
    pairs = list(zip(one, two, strict=True))
    matches = [left == right for left, right in pairs if _LOST_MARK not in (left, right)]
    return bool(matches) and all(matches) and matches[0] and pairs[0][0] != _LOST_MARK and len(matches) * 2 >= len(one)


_FOLDED = (("zh", "z"), ("ch", "c"), ("sh", "s"), ("n", "l"))
"""Initials that are not distinguished in southern Anhui."""


@lru_cache(maxsize=32_768)
def _syllable(character: str) -> str:
    syllables = lazy_pinyin(character, style=Style.NORMAL, v_to_u=False)
    text = syllables[0] if syllables else character
    for long, short in _FOLDED:
        if text.startswith(long):
            text = short + text[len(long) :]
            break
    if text.endswith(("ing", "eng")):
        text = text[:-1]
    return text
