import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmcore.config.clean import PersonalDataConfig
from lmcore.text.cleaning.personal_data import PersonalData, holds_personal_data, mask, masked_kinds
from tests.lmcore.text.cleaning.personal_data.personal_data_items import items

KINDS = ("secret", "email", "iban", "credit_card", "national_id", "ip_address", "phone")
FINDER = PersonalData(PersonalDataConfig(action="mask", kinds=KINDS, phone_region="US"), None)
# Numbers that their issuers publish as examples, put together here so that no scanner takes them for real ones.
EXAMPLES = {
    "email": [
        *("anna.meier+news@mail.example.org", "a@b.de", "X_Y@sub.domain.co.uk", "john (at) example (dot) org"),
        *("john.doe [at] example [dot] com", "john at example dot org"),
    ],
    "credit_card": ["4111 1111 1111 1111", "5500-0055-5555-5559", "378282246310005"],
    "iban": ["DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432", "FR14 2004 1010 0505 0001 3M02 606"],
    "ip_address": ["8.8.8.8", "2001:4860:4860::8888", "2a00:1450:4001:0800:0000:0000:0000:200e"],
    "phone": [
        *("+49 30 901820", "(212) 736-5000", "212-736-5000", "+44 20 7946 0018", "1-800-555-2368", "1-212-736-5000"),
        *("212 736 5000", "212/736-5000", "1.212.736.5000"),
    ],
    "secret": [
        "AKIA" + "IOSFODNN7EXAMPLE",
        "ghp_" + "a1B2" * 9,
        "sk-" + "proj-" + "Zz09" * 6,
        "xoxb-" + "123456789012-abcdef",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIIB\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nlQOYBFabc\n=x1\n-----END PGP PRIVATE KEY BLOCK-----",
        "sk-" + "proj-" + "Ab_Cd-Ef0123456789-" * 3 + "xyz",
        "sk-" + "ant-api03-" + "AbCdEf01-23456789AbCd_Ef01-" * 2 + "AAAA",
        "eyJ" + "hbGciOiJIUzI1NiJ9" + ".eyJ" + "zdWIiOiIxMjM0NTY3ODkwIn0" + ".dBjftJeZ4CVPmB92K27uhbUJU1",
    ],
    "national_id": ["123-45-6789", "AB 12 34 56 C", "1 85 05 78 006 084 91", "RSSMRA85T10A562S", "131052-308T"],
}
HARMLESS = [
    "4111 1111 1111 1112",  # another check digit
    "0000 0000 0000 0000",
    "DE89 3704 0044 0532 0130 01",
    "192.168.0.1 and 127.0.0.1 and fe80::1",
    "version 1.2.3 of 2024-05-17, 12:30:45",
    "x[2::2] and std::vector and a::b",
    "10 20 30 40 50 60 70 80",
    "0.1234 0.5678 123.456 -1.5e-07",
    "task-force-management-by-committee",
    "user@localhost and @decorator and a @ b",
    "ISBN 978-3-16-148410-0",
    "np.zeros((1000, 2000, 3000))",
    "primary_key=customer_address_2_identifier",
    "password = read_password_from_vault_2(name)",
    "api_key: your-api-key-goes-right-here",
    "secret_key=/etc/ssl/private/server_key_2.pem",
    "access_token: 1234567890123456789",
    "password=short1",
    "Version 1.2.3.4 was released; see section 3.14.15.92, pip install foo==2.31.0.6, Chrome/120.0.6099.109",
    "The icon@2x.png, logo@3x.jpg and lodash@4.17.21 are there.",
    "Clone git@example.org:team/project.git or copy anna@example.org:/tmp/file",
    "secret: the-secret-of-success-2nd-edition",
    "The score is 301-222-1234, the order no. 212-736-5000.",
    "pp. 239-251. 1945, 1914-1918, clause 252.227-7013",
    "3 456 789 people, 12 345 678 €, 10115 Berlin, 18999-1234",
    "mysql://scott:tiger@localhost/test and https://user:<password>@example.org",
    "password: str = field(default='changeme')",
    "password: Optional[str2] = None, token=self.next_token2(), key: sort_key_1, secret: Optional",
    "token = tokens[0]; password=os.environ['DB_PASSWORD2']; pwd=/home/Anna/Project2",
]


@pytest.mark.parametrize(("kind", "example"), [(kind, one) for kind, examples in EXAMPLES.items() for one in examples])
@pytest.mark.parametrize(
    "frame", ["{}", "Write to {}.", "so ({}), and", "it is:\n{}\nwas it", "请写到{}谢谢", "連絡先は{}まで", "ติดต่อ{}ได้"]
)
def test_each_kind_is_masked_and_what_surrounds_it_stays(kind: str, example: str, frame: str) -> None:
    text = frame.format(example)
    assert mask(text, FINDER.find(text)) == frame.format(f"<{kind}>")


@pytest.mark.parametrize(
    "frame",
    [
        "aws_secret_access_key = {}",
        'export API_KEY="{}"',
        '{{"clientSecret": "{}"}}',
        "password: {}\nuser: anna",
        "hf(auth_token='{}')",
        "'SECRET' => '{}';",
    ],
)
@pytest.mark.parametrize(
    "key", ["wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY", "0123456789abcdef0123456789abcdef", "Zm9v" * 5 + "=="]
)
def test_a_key_is_known_by_the_name_that_it_is_assigned_to(frame: str, key: str) -> None:
    text = frame.format(key)
    assert mask(text, FINDER.find(text)) == frame.format("<secret>")


@pytest.mark.parametrize(
    ("region", "number"), [("CN", "13812345678"), ("DE", "015112345678"), ("GB", "07911123456"), ("JP", "09012345678")]
)
def test_mobile_numbers_without_separators_are_known_where_they_are_like_no_other(region: str, number: str) -> None:
    finder = PersonalData(PersonalDataConfig(action="mask", kinds=KINDS, phone_region=region), None)
    text = f"电话{number}。 {number}."
    assert mask(text, finder.find(text)) == "电话<phone>。 <phone>."
    other = f"{number}5 1{number} 0.{number} x{number} 1000000000"
    assert finder.find(other) == FINDER.find(text) == []


@pytest.mark.parametrize(
    ("region", "number"),
    [
        *(("FR", number) for number in ("01 42 68 53 00", "01.42.68.53.00", "0142685300")),
        *(("RU", "8 (495) 123-45-67"), ("IN", "98765 43210"), ("BR", "(11) 91234-5678"), ("JP", "03-3224-5000")),
        *(("GB", "08452810075"), ("GB", "020 7946 0018"), ("CN", "010-6278 1234"), ("ES", "91 234 56 78")),
    ],
)
def test_numbers_of_a_region_need_no_country_code_there(region: str, number: str) -> None:
    finder = PersonalData(PersonalDataConfig(action="mask", kinds=KINDS, phone_region=region), None)
    text = f"Tel. {number}, {number}."
    assert mask(text, finder.find(text)) == "Tel. <phone>, <phone>."


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Authorization: Bearer 0123456789abcdef0123456789abcdef", "Authorization: Bearer <secret>"),
        ("DB_PASSWORD='S3cr3tP@ssw0rd!'", "DB_PASSWORD='<secret>'"),
        ("DB_PASSWORD=S3cr3t!pass99", "DB_PASSWORD=<secret>"),
        ("user: bob\npassword: Xk9mPq2w\nport: 1", "user: bob\npassword: <secret>\nport: 1"),
        ("PASSWORD: Tr0ub4dor&3 is what I use", "PASSWORD: <secret> is what I use"),
        ("export TOKEN=abcd1234efgh5678", "export TOKEN=<secret>"),
        ("пароль: Geheim123!x", "пароль: <secret>"),
        ("密码\uff1aGeheim123!x", "密码\uff1a<secret>"),
        ("postgres://admin:pa55w0rd@db.example.org/main", "postgres://admin:<secret>@db.example.org/main"),
        ("CPF: 529.982.247-25", "CPF: <national_id>"),
        (
            "my Aadhaar is 2345 6789 0124, the rest 2345 6789 0124",
            "my Aadhaar is <national_id>, the rest 2345 6789 0124",
        ),
    ],
)
def test_what_comes_before_tells_what_it_is(text: str, masked: str) -> None:
    assert mask(text, FINDER.find(text)) == masked


def test_precision_and_recall_on_two_thousand_sentences_of_eleven_regions() -> None:
    finders: dict[str, PersonalData] = {}
    n_right = n_found = n_wanted = 0
    for item in (made := items()):
        config = PersonalDataConfig(action="mask", kinds=KINDS, phone_region=item.region)
        found = finders.setdefault(item.region, PersonalData(config, None)).find(item.text)
        n_found, n_wanted = n_found + len(found), n_wanted + (item.kind is not None)
        n_right += sum((item.kind, item.piece) == (one.kind, item.text[one.start : one.end]) for one in found)
    assert len(made) >= 2000
    assert n_right / n_found >= 0.98
    assert n_right / n_wanted >= 0.95


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert FINDER.find(text) == []


def test_words_in_capitals_after_an_iban_are_not_part_of_it() -> None:
    text = "TO DE89 3704 0044 0532 0130 00 AND NOT LATER"
    assert mask(text, FINDER.find(text)) == "TO <iban> AND NOT LATER"


def test_only_the_kinds_that_are_named_are_found() -> None:
    finder = PersonalData(PersonalDataConfig(action="mask", kinds=("email",), phone_region=None), None)
    text = "a@b.de or +49 30 901820"
    assert mask(text, finder.find(text)) == "<email> or +49 30 901820"


def test_names_are_found_by_who_knows_them() -> None:
    config = PersonalDataConfig(action="mask", kinds=("person", "email"), phone_region=None)
    finder = PersonalData(config, lambda text: iter([(text.index("Ada"), text.index("Ada") + 12)]))
    text = "Ask Ada Lovelace (ada@example.org)."
    assert mask(text, finder.find(text)) == "Ask <person> (<email>)."


def test_changes_are_counted_by_kind_and_drops_name_the_kinds() -> None:
    found = FINDER.find("a@b.de, c@d.de, 8.8.8.8")
    assert [(change.rule, change.score) for change in masked_kinds(found)] == [
        ("masked_email", 2.0),
        ("masked_ip_address", 1.0),
    ]
    drop = holds_personal_data(found)
    assert drop is not None
    assert (drop.rule, drop.score, drop.threshold, drop.detail) == ("personal_data", 3.0, 0.0, "email, ip_address")
    assert holds_personal_data([]) is None


@given(st.text())
def test_any_text_is_read_and_masking_it_twice_changes_nothing(text: str) -> None:
    masked = mask(text, FINDER.find(text))
    assert mask(masked, FINDER.find(masked)) == masked
