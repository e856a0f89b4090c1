"""What a person wants, read from keywords. English first, the usual German words too."""

import re
import unicodedata
from enum import StrEnum


class Intent(StrEnum):
    IDENTITY = "identity"
    PERSON = "person"
    BACK = "back"
    TICKETS = "tickets"
    POLICY = "policy"
    IT_TOPIC = "it_topic"
    LAPTOP = "laptop"
    OUT_OF_SCOPE = "out_of_scope"
    HELP = "help"
    THANKS = "thanks"
    BYE = "bye"
    GREETING = "greeting"
    OTHER = "other"
    UNCLEAR = "unclear"


_DEVICE = r"(laptops?|notebooks?|macbooks?|thinkpads?|computers?|pcs?|device|machine|hardware|rechner|gerat)"
_WANTS = (
    r"(new|another|replac\w+|refresh\w*|upgrad\w+|exchang\w+|swap|order|eligib\w+|entitled|warranty|serial|"
    r"neue[nrsm]?|ersetz\w*|ersatz|tausch\w*|austausch\w*|garantie)"
)
_IT_WORDS = (
    r"(vpn|wifi|wlan|network|netzwerk|internet|passwords?|passwort|kennwort|mfa|2fa|authenticator|printers?|printing|"
    r"print|drucker|emails?|outlook|mailbox|signature|teams|zoom|software|licen[cs]es?|lizenz\w*|install\w*|access|zugang|"
    r"zugriff|login|log in|sign in|anmelden|accounts?|konto|sharepoint|onedrive|phishing|spam|monitors?|screens?|keyboards?|"
    r"tastatur|mouse|maus|headsets?|docking|usb|browser|phones?|telefon|backups?|updates?|virus|malware|drives?|calendar|"
    r"encryption|encrypted|certificates?|helpdesk|help desk|service desk|servicedesk|onboarding|crash\w*|it support)"
)
_POLICY_WORDS = (
    r"(polic(y|ies)|guidelines?|richtlinien?|how often|wie oft|who approves|keep (my|the) old|"
    r"old (laptop|device|one) (go|happen)\w*|happens? (to|with) (my|the) (old|data)|wip(e|ed|ing)|"
    r"(return|give back|hand back|send back) (my|the) (old )?(laptop|device|notebook)|zuruckgeben|ruckgabe)"
)
_RULE_WORDS = (
    r"(rules?|regel\w*|cycle|zyklus|approvals?|approve[ds]?|genehmig\w*|returning|contractors?|consultants?|exceptions?|"
    r"ausnahme\w*|standard configurations?|repair\w*|stolen|lost)"
)
_GREETING = (
    r"(hi|hello|hey|hiya|greetings|good (morning|afternoon|evening|day)|hallo|moin|servus|guten (tag|morgen|abend))"
)

# The first that matches is the intent; the order says which of two topics in one message wins.
_PATTERNS: tuple[tuple[Intent, str], ...] = (
    (
        Intent.IDENTITY,
        r"\b(are|r) (you|u) (really |just |actually )?(an? |the )?"
        r"(ai|human|person|robot|bot|chatbot|machine|real|computer|llm|gpt|chatgpt|language model|alive|people)\b"
        r"|\b(who|what) are you\b|\bam i (talking|speaking|chatting) (to|with) an? "
        r"|\bbist du (ein|eine|echt|real)\b|\bwer bist du\b",
    ),
    (
        Intent.PERSON,
        r"\b(talk|speak|chat|connect|transfer|hand) (me )?(over )?(to|with) (a |an |some |the )?(real |live )?"
        r"(human|person|someone|somebody|people|colleague|agent|support)\b"
        r"|\b(human|live|real) (agent|person|being)\b|\bmit einem menschen\b",
    ),
    (
        Intent.BACK,
        r"\b(go|get|take me|bring me) back\b(?! to the (list|options))|\bmain menu\b|\bback to (the )?(router|routing|start|beginning|main)\b"
        r"|\b(different|another|other|new|change|switch) (the )?(topics?|subjects?|questions?|issues?|problems?)\b"
        r"|\bsomething (else|different)\b|\bzuruck\b|\b(anderes|neues) thema\b|\betwas anderes\b",
    ),
    (Intent.POLICY, rf"\b{_POLICY_WORDS}\b"),
    (
        Intent.TICKETS,
        r"\b(status|state|progress|stand)\b.*\b(tickets?|requests?|orders?|anfrage)\b|\breq ?\d+\b"
        r"|\b(tickets?|requests?|orders?)\b.*\b(status|state|progress|open|arrive)\b"
        r"|\b(my|list|show|any|which|check|meine|offenen?|an open) (open )?(it )?(tickets?|requests|orders?)\b|\bopen tickets\b"
        r"|\bwhere is my (new )?(ticket|request|order|laptop)\b",
    ),
    (
        Intent.LAPTOP,
        rf"\b{_WANTS}( \w+){{0,2}} {_DEVICE}\b|\b{_DEVICE}\b.*\b(refresh\w*|replac\w+|upgrad\w+)\b|\bam i eligible\b"
        r"|\bneed (a |an )?(new|another) one\b",
    ),
    (Intent.POLICY, rf"\b{_RULE_WORDS}\b"),
    (Intent.IT_TOPIC, rf"\b{_IT_WORDS}\b"),
    (Intent.LAPTOP, rf"\b({_DEVICE}|refresh|eligible|eligibility|warranty|serial number|garantie)\b"),
    (
        Intent.OUT_OF_SCOPE,
        r"\b(weather|wetter|jokes?|witz\w*|poems?|gedicht|songs?|story|recipes?|rezept|football|soccer|sports?|politic\w*|"
        r"elections?|president|stocks?|bitcoin|crypto\w*|invest\w*|holidays?|vacations?|urlaub|salary|gehalt|payroll|doctor|"
        r"medical|lawyer|legal|movies?|music|games?|lunch|dinner|restaurants?|pizza|flights?|hotels?|travel|translate|"
        r"homework|essays?|capital of|horoscope|dating|love|religion|news)\b",
    ),
    (
        Intent.HELP,
        r"^(help|help me|please help|hilfe)( please)?$|\bwhat can (you|i) (do|ask)\b|\bhow can you help\b|\bwas kannst du\b",
    ),
    (Intent.THANKS, r"\b(thanks|thank you|thx|cheers|danke|vielen dank|much appreciated)\b"),
    (
        Intent.BYE,
        r"\b(bye|goodbye|see you|thats all|that is all|nothing else|im done|tschuss|auf wiedersehen|das war alles|das wars)\b",
    ),
    (Intent.GREETING, rf"^{_GREETING}\b"),
)
_COMPILED = tuple((intent, re.compile(pattern)) for intent, pattern in _PATTERNS)
_CREATES_TICKET = re.compile(
    r"\b(open|create|raise|file|submit|make|place|eroffne|erstelle) (me )?(a|an|the|that|this|my|ein) "
)

_YES = re.compile(
    r"\b(yes|y|yeah|yep|yup|sure|ok|okay|absolutely|definitely|certainly|of course|correct|right|agreed|exactly|perfect|"
    r"go ahead|go on|continue|proceed|lets go|do it|do so|please do|sounds good|why not|no problem|i do|i would|show me|"
    r"ja|jawohl|gerne|klar|na klar|jo|weiter|mach das|einverstanden|passt)\b"
)
_NO = re.compile(
    r"\b(no|n|nope|nah|not|none|neither|dont|never mind|nevermind|cancel|stop|abort|later|nothing|forget it|wont|wouldnt|"
    r"nein|nicht|nee|spater|abbrechen|nichts)\b"
)
_NEITHER = re.compile(r"\b(not sure|not certain|(do not|dont) know|no idea|weiss nicht|nicht sicher)\b")
_SOUNDS_LIKE_NO = re.compile(r"\b(no problem|why not)\b")
_LONGEST_PLAIN_ANSWER = 8  # words; longer texts say yes or no only with their first word


def normalize(text: str) -> str:
    """Lower-case words without accents and punctuation, one blank between them."""
    folded = unicodedata.normalize("NFKD", text.casefold())
    folded = "".join(c for c in folded if not unicodedata.combining(c))
    folded = re.sub(r"['’`´]", "", folded)
    words = " ".join(re.sub(r"[^\w#]+|_", " ", folded).split())
    return words.replace("wi fi", "wifi").replace("e mail", "email").replace("log on", "log in")


def intent_of(text: str) -> Intent:
    words = normalize(text)
    if not re.search(r"[^\W\d_]{2}", words):
        return Intent.UNCLEAR
    for intent, pattern in _COMPILED:
        if pattern.search(words) and not (intent is Intent.TICKETS and _CREATES_TICKET.search(words)):
            return intent
    return Intent.OTHER


def yes_or_no(text: str) -> bool | None:
    """True and False only for a clear answer: "yes, but not now" is none."""
    words = normalize(text)
    if _NEITHER.search(words):
        return None
    if len(words.split()) > _LONGEST_PLAIN_ANSWER:
        words = words.split()[0]
    says_no = bool(_NO.search(_SOUNDS_LIKE_NO.sub("", words)))
    says_yes = bool(_YES.search(words))
    return None if says_yes == says_no else says_yes


def wants_options(text: str) -> bool:
    """The person asks for the list of laptops to choose from."""
    pattern = (
        r"\b(options|choices|models|catalog(ue)?|offers|alternatives|auswahl|angebote?|modelle)\b"
        r"|\b(what|which|welche) (\w+ )?(laptops|notebooks|devices|ones)\b|\bthe list\b|\blist again\b"
    )
    return re.search(pattern, normalize(text)) is not None


_STOPWORD_TEXT = """
a about again all also am an and any are as at be been but by can could did do does for from get give go had has have help how
i id if im in is it its ive just know like long make may me my need not of on or our out please should so some tell than that
the their them then there these they this to up use want was we were what when where which who why will with work working
works would you your der die das ein eine ich du ist mein meine wie und
"""
_STOPWORDS = frozenset(_STOPWORD_TEXT.split())


def content_words(text: str) -> list[str]:
    """The words that carry the topic, in order, each once."""
    return list(dict.fromkeys(word for word in normalize(text).split() if word not in _STOPWORDS))
