"""Made-up sentences from eleven regions, with and without personal data, drawn from a seed.

Numbers are put together from the areas and groups in which a country writes them, check digits are computed; nobody's
data is in here. Each item is a text, the kind of personal data in it (None where there is none) and that piece of it.
"""

import random
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from stdnum import iban, verhoeff
from stdnum.br import cpf
from stdnum.de import idnr
from stdnum.es import dni
from stdnum.fr import nir
from stdnum.iso7064 import mod_11_10
from stdnum.it import codicefiscale


@dataclass(frozen=True)
class Item:
    """A text of a region, and the one piece of personal data in it."""

    region: str
    text: str
    kind: str | None
    piece: str | None


ITEMS_PER_KIND = 10
# D is any digit, N any from 2 to 8; other characters are themselves.
PHONES = {
    "US": ["(212) NNN-DDDD", "415-NNN-DDDD", "312.NNN.DDDD", "617 NNN DDDD", "1-800-NNN-DDDD", "305/NNN-DDDD"],
    "GB": ["020 7NNN DDDD", "0161 2NN DDDD", "(0113) 2NN DDDD", "07400 NDDDDD", "0845 2NN DDDD"],
    "DE": ["030 NDDDDDD", "089/NDDDDDD", "0151 NDDDDDDD", "040-NDDDDDD", "(0221) NDDDDD"],
    "FR": ["01 42 ND DD DD", "06.12.ND.DD.DD", "04-91-ND-DD-DD", "0145NDDDDD"],
    "ES": ["91 NND DD DD", "93 NND DD DD", "612 ND DD DD", "+34 612 NDD DDD"],
    "IT": ["06 NNND DDDD", "02 NNND DDDD", "347 NND DDDD", "055 NND DDD"],
    "BR": ["(11) 9NNND-DDDD", "(21) 3NNN-DDDD", "(31) 9NNND-DDDD", "11 9NNND-DDDD"],
    "IN": ["98NNN DDDDD", "022 2NNN DDDD", "080-2NNN-DDDD", "+91 98NNN DDDDD"],
    "JP": ["03-3NNN-DDDD", "090-NNND-DDDD", "06-6NNN-DDDD", "0120-NNN-DDD"],
    "RU": ["8 (495) NNN-DD-DD", "8 916 NNN-DD-DD", "+7 812 NNN-DD-DD", "8-903-NNN-DD-DD"],
    "CN": ["010-6NNN DDDD", "138 NNND DDDD", "021-5NNN-DDDD", "139NNNDDDDD"],
}
ABROAD = [
    "+1 212 NNN DDDD",
    "+44 20 7NNN DDDD",
    "+49 30 NDDDDDD",
    "+33 1 42 ND DD DD",
    "+81 3 3NNN DDDD",
    "+7 495 NNN DDDD",
]
FRAMES = {
    "US": ["Call {} before noon.", "You can reach us at {}.", "fax: {}", "Anna's number is {}, I think."],
    "GB": ["Ring {} to book.", "Our office: {} (weekdays).", "Tel: {}"],
    "DE": ["Rufen Sie {} an.", "Telefon: {}", "Sie erreichen uns unter {}."],
    "FR": ["Appelez le {} avant midi.", "Tél. : {}", "Contact au {}, merci."],
    "ES": ["Llame al {} por la mañana.", "Teléfono: {}", "Nuestro contacto es {}."],
    "IT": ["Chiamate {} domani.", "Tel. {}", "Il nostro numero è {}."],
    "BR": ["Ligue para {} hoje.", "Telefone: {}", "Meu WhatsApp é {}."],
    "IN": ["Call me on {}.", "Mobile: {}", "WhatsApp {} for the menu."],
    "JP": ["電話番号は{}です。", "{}までご連絡ください。", "TEL: {}"],
    "RU": ["Звоните {} с девяти.", "Тел.: {}", "Наш номер {}."],
    "CN": ["请拨打{}联系我们。", "电话:{}", "我的手机是 {}。"],
}
NAMES = ["anna.meier", "j_smith42", "contact", "maria", "ivan.petrov", "k.tanaka", "li-wei", "x", "jean-luc.p"]
HOSTS = ["example.org", "mail.example.com", "firma.example.de", "uni-x.example.ac.uk", "example.co.jp", "exemple.fr"]
PLAIN = {
    "US": ["The meeting is on {}.", "We found {} in the table.", "See {} for more."],
    "DE": ["Siehe {} im Anhang.", "Der Wert ist {}.", "Wir haben {} gefunden."],
    "FR": ["Voir {} en annexe.", "La valeur est {}.", "On a trouvé {} ici."],
    "RU": ["Смотрите {} ниже.", "Мы нашли {} в таблице."],
    "JP": ["{}を参照してください。", "値は{}です。"],
}


def items(seed: int = 1) -> list[Item]:
    """All items, over two thousand of them, the same ones for the same seed."""
    chance = random.Random(seed)
    return [
        *_phones(chance),
        *_emails(chance),
        *_secrets(chance),
        *_numbers(chance),
        *_identities(chance),
        *_harmless(chance),
    ]


def digits(chance: random.Random, pattern: str) -> str:
    """``pattern`` with a random digit for each D, and one from 2 to 8 for each N."""
    return "".join({"D": chance.choice("0123456789"), "N": chance.choice("2345678")}.get(c, c) for c in pattern)


def letters(chance: random.Random, n: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    """``n`` random characters, digits among them."""
    return "".join(chance.choice(alphabet) for _ in range(n - 2)) + chance.choice("23456789") + chance.choice("abcdef")


def _framed(chance: random.Random, region: str, kind: str, piece: str) -> Item:
    frame = chance.choice(FRAMES[region])
    return Item(region, frame.format(piece), kind, piece)


def _phones(chance: random.Random) -> Iterator[Item]:
    for region, patterns in PHONES.items():
        for pattern in patterns:
            for _ in range(ITEMS_PER_KIND):
                yield _framed(chance, region, "phone", digits(chance, pattern))
    for pattern in ABROAD:
        for region in FRAMES:
            yield _framed(chance, region, "phone", digits(chance, pattern))


def _emails(chance: random.Random) -> Iterator[Item]:
    for region in FRAMES:
        for _ in range(ITEMS_PER_KIND):
            name, host = chance.choice(NAMES), chance.choice(HOSTS)
            yield _framed(chance, region, "email", f"{name}@{host}")
        for _ in range(ITEMS_PER_KIND // 3):
            left, right = chance.choice([("(at)", "."), (" [at] ", " [dot] "), (" (at) ", " (dot) "), ("{at}", ".")])
            piece = f"{chance.choice(NAMES[:4])}{left}{chance.choice(HOSTS).replace('.', right)}"
            yield Item(region, f"Write to {piece} please.", "email", piece)


SECRETS: list[Callable[[random.Random], str]] = [
    lambda chance: "AKIA" + letters(chance, 16, string.ascii_uppercase).upper(),
    lambda chance: "ghp_" + letters(chance, 36),
    lambda chance: "glpat-" + letters(chance, 20),
    lambda chance: f"sk-proj-{letters(chance, 12)}-{letters(chance, 12)}_{letters(chance, 20)}",
    lambda chance: f"sk-ant-api03-{letters(chance, 10)}-{letters(chance, 24)}_{letters(chance, 20)}-AAAAAA",
    lambda chance: f"sk-or-v1-{letters(chance, 40, string.hexdigits[:16])}",
    lambda chance: "AIza" + letters(chance, 35),
    lambda chance: "hf_" + letters(chance, 34),
    lambda chance: f"xoxb-{digits(chance, 'DDDDDDDDDDDD')}-{letters(chance, 24)}",
    lambda chance: f"eyJ{letters(chance, 30)}.eyJ{letters(chance, 60)}.{letters(chance, 43)}",
    lambda chance: f"SG.{letters(chance, 22)}.{letters(chance, 43)}",
    lambda chance: f"{digits(chance, 'NDDDDDDDD')}:AA{letters(chance, 33)}",
]
BLOCKS = ["RSA PRIVATE KEY", "OPENSSH PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "PGP PRIVATE KEY BLOCK", "EC PRIVATE KEY"]


def _secrets(chance: random.Random) -> Iterator[Item]:
    regions = list(FRAMES)
    for make in SECRETS:
        for _ in range(ITEMS_PER_KIND):
            piece = make(chance)
            frame = chance.choice(["export KEY={}", "the key {} leaked", "key: {}", "令牌是{}。", "({})"])
            yield Item(chance.choice(regions), frame.format(piece), "secret", piece)
    for block in BLOCKS:
        header = "Proc-Type: 4,ENCRYPTED\nDEK-Info: DES-EDE3-CBC,0123456789ABCDEF\n\n" if "RSA" in block else "\n"
        body = "\n".join(letters(chance, 64) for _ in range(4))
        piece = f"-----BEGIN {block}-----\n{header}{body}\n-----END {block}-----"
        yield Item("US", f"Never commit this:\n{piece}\nor that.", "secret", piece)
    for _ in range(4 * ITEMS_PER_KIND):
        key = letters(chance, 32)
        frame = chance.choice(["Authorization: Bearer {}", "client_secret = '{}'", "API_KEY={}", '"authToken": "{}"'])
        yield Item(chance.choice(regions), frame.format(key), "secret", key)
        password = letters(chance, 6) + chance.choice("!#%&?") + letters(chance, 5).upper()
        frame = chance.choice(["DB_PASSWORD='{}'", 'password: "{}"', "postgres://admin:{}@db.example.org/main"])
        yield Item(chance.choice(regions), frame.format(password), "secret", password)


def _numbers(chance: random.Random) -> Iterator[Item]:
    for region in FRAMES:
        for _ in range(ITEMS_PER_KIND // 2):
            octets = [chance.choice([8, 23, 45, 62, 81, 93, 104, 151]), *(chance.randrange(1, 255) for _ in range(3))]
            address = ".".join(map(str, octets))
            yield Item(
                region,
                chance.choice(["Blocked {} again.", "ping {}", "from {}:"]).format(address),
                "ip_address",
                address,
            )
            bban = digits(chance, "NDDDDDDDDDDDDDDDDD")
            account = f"DE{iban.calc_check_digits('DE00' + bban)}{bban}"
            spaced = " ".join(account[start : start + 4] for start in range(0, len(account), 4))
            piece = chance.choice([account, spaced])
            yield Item(region, f"IBAN {piece}.", "iban", piece)


def _identities(chance: random.Random) -> Iterator[Item]:
    makers: dict[str, tuple[list[str], Callable[[], str]]] = {
        "US": (
            ["My SSN is {}.", "SSN: {}", "({})"],
            lambda: f"{chance.randrange(100, 665)}-{chance.randrange(10, 99)}-{chance.randrange(1000, 9999)}",
        ),
        "GB": (
            ["NI number {}.", "My NINO: {}"],
            lambda: f"{chance.choice(['AB', 'CE', 'JK', 'PS'])} {digits(chance, 'DD DD DD')} {chance.choice('ABCD')}",
        ),
        "DE": (["Steuer-ID: {}", "Meine IdNr ist {}."], lambda: _german_tax_number(chance)),
        "FR": (["Sécurité sociale : {}", "Mon numéro est {}."], lambda: _french_number(chance)),
        "ES": (
            ["DNI {}", "Mi DNI es {}."],
            lambda: (number := digits(chance, "NDDDDDDD")) + dni.calc_check_digit(number),
        ),
        "IT": (["Codice fiscale {}.", "C.F.: {}"], lambda: _italian_code(chance)),
        "BR": (["CPF: {}", "Meu CPF é {}."], lambda: _brazilian_number(chance)),
        "IN": (["Aadhaar {}.", "My Aadhaar number is {}."], lambda: _indian_number(chance)),
        "CN": (["身份证号{}。", "证件:{}"], lambda: _chinese_number(chance)),
    }
    for region, (frames, make) in makers.items():
        for _ in range(2 * ITEMS_PER_KIND):
            piece = make()
            yield Item(region, chance.choice(frames).format(piece), "national_id", piece)


def _german_tax_number(chance: random.Random) -> str:
    while True:
        order = chance.sample("0123456789", 10)
        order[chance.randrange(1, 10)] = order[0]  # one digit comes twice, one is missing
        number = "".join(order)
        if number[0] != "0" and idnr.is_valid(full := number + mod_11_10.calc_check_digit(number)):
            return full


def _french_number(chance: random.Random) -> str:
    born = f"{digits(chance, 'DD')}{chance.randrange(1, 13):02}"
    number = f"{chance.choice('12')}{born}{chance.randrange(10, 95)}{digits(chance, 'DDDDDD')}"
    number += f"{nir.calc_check_digits(number)}"
    parts = (number[:1], number[1:3], number[3:5], number[5:7], number[7:10], number[10:13], number[13:])
    return " ".join(parts)


def _spanish_number(chance: random.Random) -> str:
    number = digits(chance, "NDDDDDDD")
    return number + str(dni.calc_check_digit(number))


def _italian_code(chance: random.Random) -> str:
    names = "".join(chance.choice("BCDFGLMNPRSTV") for _ in range(6))
    born = f"{digits(chance, 'DD')}{chance.choice('ABCDEHLMPRST')}{chance.randrange(1, 29):02}"
    code = f"{names}{born}H{digits(chance, 'NDD')}"
    return code + codicefiscale.calc_check_digit(code)


def _brazilian_number(chance: random.Random) -> str:
    while True:
        number = digits(chance, "NDDDDDDDD")
        for last in range(100):
            full = f"{number}{last:02}"
            if cpf.is_valid(full):
                return f"{full[:3]}.{full[3:6]}.{full[6:9]}-{full[9:]}"


def _indian_number(chance: random.Random) -> str:
    number = digits(chance, "NDDDDDDDDDD")
    number += verhoeff.calc_check_digit(number)
    return f"{number[:4]} {number[4:8]} {number[8:]}"


def _chinese_number(chance: random.Random) -> str:
    born = f"{chance.randrange(1950, 2010)}{chance.randrange(1, 13):02}{chance.randrange(1, 29):02}"
    number = f"110105{born}{digits(chance, 'DDD')}"
    # ISO 7064 MOD 11-2: the weights are powers of two.
    total = sum(int(digit) * 2 ** (17 - place) for place, digit in enumerate(number))
    return number + "10X98765432"[total % 11]


def _harmless(chance: random.Random) -> Iterator[Item]:
    makers: list[Callable[[], str]] = [
        lambda: f"{chance.randrange(1900, 2030)}-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}",
        lambda: f"{chance.randrange(1, 29):02}.{chance.randrange(1, 13):02}.{chance.randrange(1900, 2030)}",
        lambda: digits(chance, "0N/2N/20ND 12:2D:59"),
        lambda: f"{chance.randrange(1800, 1900)}-{chance.randrange(1900, 2030)}",
        lambda: f"${digits(chance, 'N,DDD,DDD.DD')}",
        lambda: f"{digits(chance, 'N DDD DDD')} €",
        lambda: f"{digits(chance, 'N.DDD.DDD')} habitants",
        lambda: f"ISBN {digits(chance, '978-N-DD-DDDDDD-D')}",
        lambda: f"ISSN {digits(chance, 'NDDD-DDDD')}",
        lambda: f"version {digits(chance, 'N.D.D.D')}",
        lambda: f"foo=={digits(chance, 'N.3D.D.N')}",
        lambda: f"section {digits(chance, 'N.1D.15.D2')}",
        lambda: f"Chrome/{digits(chance, '120.N.6DDD.10D')}",
        lambda: f"doi:10.{digits(chance, 'NDDD')}/{letters(chance, 10)}",
        lambda: letters(chance, 40, "0123456789abcdef"),
        lambda: "-".join(letters(chance, n, "0123456789abcdef") for n in (8, 4, 4, 4, 12)),
        lambda: f"order {digits(chance, 'NDDDDDDDDD')}",
        lambda: f"order no. {digits(chance, 'NDD-DDD-DDDD')}",
        lambda: f"score: {digits(chance, 'N01-222-1234')}",
        lambda: digits(chance, "17DDDDDDDD"),
        lambda: f"[{digits(chance, '0.NDDD, 0.NDDD, -N.DD, NDD.DDD')}]",
        lambda: digits(chance, "NDD NDD NDD NDD NDD NDD"),
        lambda: digits(chance, "NDDD NDDD NDDD NDDD NDDD"),
        lambda: f"{digits(chance, '4N.NDDD')}, {digits(chance, '2.3DDD')}",
        lambda: f"{digits(chance, '1NDD')}x{digits(chance, '10DD')}",
        lambda: f"icon@{chance.choice('234')}x.{chance.choice(['png', 'jpg', 'webp'])}",
        lambda: f"git@{chance.choice(HOSTS)}:team/{letters(chance, 6)}.git",
        lambda: f"deploy@{chance.choice(HOSTS)}:/var/www/html",
        lambda: f"lodash@{digits(chance, 'N.D.D')}",
        lambda: f"@{chance.choice(NAMES)} and user@localhost",
        lambda: "secret: the-secret-of-success-2nd-edition",
        lambda: f"api_key = os.environ['API_KEY_{digits(chance, 'D')}']",
        lambda: f"password: str = Field(min_length={digits(chance, 'N')})",
        lambda: 'password="your-password-here-1"',
        lambda: f"primary_key=customer_address_{digits(chance, 'D')}_identifier",
        lambda: f"192.168.{digits(chance, 'N')}.{digits(chance, 'ND')} and 10.0.{digits(chance, 'N')}.1",
        lambda: ":".join(letters(chance, 2, "0123456789abcdef")[:2] for _ in range(6)),
        lambda: f"{digits(chance, '1NDDD')}-{digits(chance, 'NDDD')}",  # a ZIP code
        lambda: f"part {digits(chance, 'NDDD-DDDD-ND')}",
        lambda: f"EAN {digits(chance, '40063N1DDDDDD')}",
        lambda: f"RFC {digits(chance, 'NDDD')}, ISO {digits(chance, 'NDDD')}-1:2015",
        lambda: f"{digits(chance, 'N,DDD')} to {digits(chance, 'N,DDD')} rows",
        lambda: f"lines {digits(chance, 'NDDD')}-{digits(chance, 'NDDD')}",
        lambda: f"#{digits(chance, 'NDDDDDDD')}",
        lambda: f"model AB-{digits(chance, 'NDDD-DDDD')}",
        lambda: f"the task-force-management-by-committee-{digits(chance, 'NDDD')}",
        lambda: f"at the dot product of {digits(chance, 'N')} and {digits(chance, 'D')}",
        lambda: f"x[{digits(chance, 'N')}::2] and a::b",
        lambda: f"4111 1111 1111 {digits(chance, '1112')}",
        lambda: f"{digits(chance, 'N')}e{digits(chance, '-ND')} and {digits(chance, 'NDD.NDD')}%",
    ]
    for make in makers:
        for _ in range(2 * ITEMS_PER_KIND):
            region = chance.choice(list(FRAMES))
            frame = chance.choice(PLAIN.get(region, PLAIN["US"]))
            yield Item(region, frame.format(make()), None, None)
