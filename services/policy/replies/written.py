"""The part of a reply that the customer wrote.

Phones and mail programs add to it: the message that it answers, a signature, a footer. Reactions to a message
("tapbacks") and automatic answers are nothing that a customer wrote.
"""

import re

MAX_HEAD, MAX_TAIL = 4_000, 1_000
"""Characters at the start and at the end of a reply that are read; of those between them nothing is known."""
GAP = "\x00"
"""Stands for the characters between them."""

_quote_open, _quote_close = "[\"'“”„«»「『‘]", "[\"'”“»«」』’]"
_reaction = (
    r"(?:liked|loved|disliked|laughed at|emphasi[sz]ed|questioned|removed an? [\w ]{1,30} from|"
    r"(?:no )?le (?:gustó|gusta|encantó|encanta)|(?:me|te) (?:gusta|encanta)|se ri[óo] de|(?:destac"
    r"|enfatiz|resalt|cuestion)ó|"
    r"(?:a|as) (?:aimé|adoré|ri (?:de|à)|mis en évidence|souligné|insisté sur|mis l['’]accent sur|posé "
    r"une question sur|"
    r"réagi (?:avec )?\S+ à|interrogé)|n['’]a pas aimé|j['’]aime|s['’]interroge sur|"
    r"gefällt(?: mir)?(?: nicht)?|liebt|lacht über|hat (?:gelacht über|betont|hervorgehoben|hinterfragt"
    r"|geliked)|betont|"
    r"(?:não )?(?:curtiu|gostou de|gostou)|adorou|amou|riu de|(?:enfatiz|questionou|destac)(?:ou)?|"
    r"(?:non )?(?:(?:gli|le) )?(?:è )?piac(?:e|iut[oa])|ha (?:messo (?:un )?(?:mi|non mi) piace a|adorato"
    r"|amato|riso (?:a|di|per)|"
    r"enfatizzato|sottolineato|messo in dubbio)|adora|ama|"
    r"vond|vindt|moest lachen om|lachte om|benadrukte|gillade|älskade|skrattade åt|likte|elsket|polubi(?:ł|ła)|"
    r"понравилось|не понравилось|нравится|beğendi|beğenildi|喜欢了?"
    r"|喜歡|赞了|讚好|点赞了?|不喜欢|强调了?|大笑|质疑了?|أعجبني|أعجبه|"
    r"(?:reacted|reagi\w+|reageerde|reaccionó|réagi|ha reagito|отреагировал\w*)(?: (?:con|com|mit|with"
    r"|avec|met))? \S{1,12} "
    r"(?:to|a|à|auf|op|su|на)|removed \S{1,12} from|"
    r"[^\w\s\"'“„«.,!?-]{1,10} (?:to|a|à|zu|auf|op|su|на|til|till|do))"
)
_tapback = re.compile(
    rf"\A\W{{0,3}}{_reaction}\s{{0,3}}(?:{_quote_open}(?:.*?{_quote_close}[^\n\w]{{0,3}}(?:\n|\Z)"
    rf"|.*{_quote_close}[^\n]{{0,25}}\Z|.*\Z)|"
    r"(?:an?|una?|une|eine?n?|um|uma|un) (?:image|photo|picture|video|movie|attachment|audio message"
    r"|sticker|imagen|foto|bild|"
    r"imagem|immagine)\W*(?:\n|\Z))"
    rf"|\A(?:hat|vond|vindt|ha)\s{_quote_open}.*{_quote_close}[^\n]{{1,40}}\Z"
    rf"|\A{_quote_open}.*{_quote_close}\s?(?:に|を|에|을|를)[^\n]{{1,30}}\Z",
    re.I | re.S,
)

_wrote = re.compile(
    r"^[^\n]*(?:\b(?:wrote|escribi[óo]|a écrit|schrieb|escreveu|ha scritto|schreef|skrev|napisał|napsala?"
    r"|пишет|пише|написала?"
    r"|kirjoitti|yazdı|menulis|đã viết|írta|a scris)\b|写道|寫道|のメール|님이 작성|كتب)[^\n]{0,80}[:：][ \t]*$",
    re.I | re.M,
)
"""The last line above a quote: "On 1 December 2026 a company wrote:"."""
_header = re.compile(
    r"^[ \t]*(?:[-_—=]{2,}[ \t]*(?:original|forwarded|reply|mensaje|message|mensagem|messaggio"
    r"|ursprüngliche|weitergeleitete"
    r"|oorspronkelijk|doorgestuurd|wiadomo|исходное|пересыл|原始|转发|轉寄|元の|원본|الرسالة|asıl|özgün)"
    r"|(?:begin forwarded message|inicio del mensaje|début du message|anfang der weitergeleiteten)"
    r"|\*?(?:from|de|von|da|van|från|fra|od|от|від|kimden|发件人|寄件者"
    r"|寄件人|差出人|보낸 사람|من)\*?[ \t]?[:：][^\n]{1,200}\n"
    r"\s*\*?[^\W\d_][^\n:：]{0,20}[:：]"
    r"|_{10,}[ \t]*$)",
    re.I | re.M,
)
"""The first line of a quoted message with its sender and date."""
_may_quote = re.compile("[>:：_—=-]")
"""A sign that every quote has; it saves looking for one in most texts."""
_quoted_line = re.compile(r"^[ \t]*>.*$\n?", re.M)
_notice = re.compile(
    r"(?:(?<=[.!?:\"“>\n])|\A)\s*(?:you can |please |to accept,? )?(?:reply|text|send|answer)(?: with)? "
    r"[\"“']?(?:KEEP|STOP|HELP)[\"”']? "
    r"(?:to (?:opt out|opt-out|accept|unsubscribe|end|cancel|stop|keep|get|take)|by|before|until"
    r"|for)[^.!?\n]{0,60}[.!]?"
    r"|[^.!?\n]{0,150}\bif you reply KEEP by [^.!?\n]{0,40}[.!]?",
    re.I,
)
"""What our own messages say; some phones quote them without a mark."""
_may_notice = re.compile("(?:reply|text|send|answer).{0,10}(?:keep|stop|help)", re.I | re.S)

_devices = (
    r"(?:iphone|ipad|apple|android|galaxy|samsung|huawei|xiaomi|redmi|pixel|nokia|motorola|oneplus"
    r"|blackberry|yahoo|outlook|gmail|mail|e-?mail|handy|smartphone|phone|mobile|móvil|celular|telemóvel"
    r"|mobil|telefon\w*|téléphone|device|proton\w*|windows|tablet|watch)"
)
_sent_from = re.compile(
    rf"(?:^|(?<=[\s.!?])|(?<=\u2014))(?:(?:sent|sended|enviado|enviada|envoyé|gesendet|diese nachricht "
    rf"wurde|inviato|verzonden|verstuurd|skickat|sendt|wysłane|wysłano|отправлено|"
    rf"надіслано|lähetetty|odesláno|trimis|dikirim|gửi|gönderildi|sent securely)[ \t](?:from|via|using"
    rf"|with|desde|de|do|da|del|depuis|à partir|von|mit|dal|dalla|vanaf|met|från|fra|"
    rf"z|с|з|z mého|din|dari|từ)\b[^\n]{{0,40}}\b{_devices}\b|von meinem[^\n]{{0,20}}\b{_devices}\b)[^\n]{{0,60}}$"
    r"|^(?:发自我的|發自我的|从我的|傳送自我的|iphoneから送信|나의 iphone|내 iphone"
    r"|أ?رسل من|iphone[’']?umdan)[^\n]{0,40}$"
    r"|(?:\b(?:get|download|obt[eé]n\w*|téléchargez|holen sie sich|scarica|obter|baixar) )?\boutlook "
    r"(?:for|para|pour|für|per|voor|för|dla|для) [^\n]{0,40}$"
    r"|^[^\n]{0,20}\b(?:yahoo|aol) mail\b[^\n]{0,60}$",
    re.I | re.M,
)
_signature = re.compile(r"^[ \t]*(?:--|—|__)[ \t]*$", re.M)
_footer = re.compile(
    r"^[^\n]{0,160}(?:"
    r"\bconfidential(?:ity)?\b[^\n]{0,80}\b(?:e-?mail|message|information|intended|notice|privileged)"
    r"|\bconfidentiality notice|^\W*disclaimer\b"
    r"|\b(?:e-?mail|message|communication|transmission)\b[^\n]{0,60}\b(?:confidential|privileged|intended "
    r"(?:only|solely|for))"
    r"|\bintended recipients?\b|\b(?:confidencial|confidentiel|vertraulich|riservat"
    r"|vertrouwelijk)\w*\b[^\n]{0,80}\b(?:mensaje|correo|message|nachricht|mail|messaggio|bericht"
    r"|mensagem)"
    r"|\b(?:mensaje|correo|message|e-?mail|nachricht|messaggio|mensagem"
    r"|bericht)\b[^\n]{0,80}\b(?:confidencial|confidentiel|vertraulich|riservat|vertrouwelijk)"
    r"|\bthis e-?mail was sent\b|\byou(?:['’]re| are)? (?:are )?receiv(?:ed|ing) this (?:e-?mail|message"
    r"|newsletter)|\bview (?:this )?(?:e-?mail )?in (?:your )?browser"
    r"|\bmanage (?:your |my )?(?:e-?mail )?(?:preferences|subscriptions?)|\bupdate (?:your )?preferences"
    r"|\b(?:unsubscribe|opt[- ]?out|désabonner|se désinscrire|abmelden|abbestellen|darse de baja|cancelar "
    r"suscripción|cancelar inscrição|disiscriviti|uitschrijven|отписаться|退订)\b"
    r"\W{0,3}(?:here|ici|hier|aquí|aqui|qui|link)?\W{0,3}(?:https?:|www\.|<https?|\[http|\||privacy policy|terms)"
    r"|(?:https?://|www\.)\S*(?:unsub|opt-?out|abmeld|desinscri|baja)"
    r"|\bto (?:unsubscribe|opt out|stop receiving)[^\n]{0,60}\b(?:click|visit|go to|here|follow|use the link|https?)"
    r"|\bclick (?:here|below|the link|on the link)[^\n]{0,20}to (?:unsubscribe|opt[- ]?out)"
    r"|\ball rights reserved\b|©|\bplease consider the environment|\b(?:virus|malware)[- ]?(?:free"
    r"|checked)|\bscanned (?:by|for)\b|\bavast\b|\bavg\b"
    r"|\bregistered (?:office|in england)|\bcompany (?:no|number|registration)\b[.:]"
    r")",
    re.I | re.M,
)

_automatic = re.compile(
    r"\A\W{0,5}(?:(?:this is an? )?auto(?:matic|mated|matisch\w*)?[- ]?(?:reply|response|responder"
    r"|antwort\w*|message|svar|text)\b"
    r"|(?:respuesta|resposta|risposta|réponse|reponse) autom[aá]ti(?:ca|que)|mensaje automático|message "
    r"automatique|mensagem automática|messaggio automatico"
    r"|abwesenheit\w*|automatisch antwoord|automatyczna odpowied\w*|авто(?:матический )?ответ|автовідповідь"
    r"|otomatik (?:yanıt|cevap)|trả lời tự động|(?:balasan|jawaban) otomatis|ตอบกลับอัตโนมัติ|自动回复|自動回覆"
    r"|自動返信|자동 ?(?:응답|회신)"
    r"|رد (?:تلقائي|آلي)|الرد (?:التلقائي|الآلي)|स्वचालित|স্বয়ংক্রিয়|پاسخ خودکار|خودکار جواب|out of "
    r"(?:the )?office\b|ooo\b)"
    r"|\b(?:with|mit|con|com|avec|met) (?:do not disturb|focus|driving (?:mode|focus)|[^\n.]{0,12}(?:no "
    r"molestar|concentraci[óo]n|ne pas d[ée]ranger|concentration|nicht st[öo]ren|fokus|n[ãa]o perturbe|"
    r"n[ãa]o incomodar|foco|non disturbare|niet storen))[^\n.]{0,30}(?:turned on|enabled|on\b|activ|aktiv"
    r"|eingeschaltet|attiv|ativ|ingeschakeld)"
    r"|\bdo not disturb (?:is|mode is|has been) (?:turned |switched )?on\b|\bi(?:['’]m| am) not receiving "
    r"notifications\b|\bi have (?:notifications|my notifications) silenced\b|\bhas notifications "
    r"silenced\b"
    r"|\b(?:mailbox|inbox|e-?mail address|address|number|account|line) (?:is|isn['’]t|are) (?:not |no "
    r"longer |un)?(?:being )?(?:monitored|attended|unmonitored|checked|manned)\b"
    r"|\bplease do not reply to this (?:e-?mail|message|text|address)|\b(?:sent|generated) automatically\b"
    r"|\bautomatically generated\b|\bthis is an auto(?:matic|mated)\b"
    r"|\bmessage blocking is active\b|\bunable to send message\b|\b(?:message|mail|e-?mail|sms|text) "
    r"(?:could not|couldn['’]t|was not|cannot) be delivered\b|\bundeliver(?:able|ed)\b|\bdelivery (?:has "
    r")?(?:failed|status notification|report)\b"
    r"|\bthis number (?:does not|cannot) receive (?:\w+ )?(?:messages|texts)|\bfailed permanently\b"
    r"|\bmailer-daemon\b|\b(?:número|numero|buzón|correo|boîte|postfach|casella|caixa)[^\n.]{0,40}\bno(?:n"
    r"|t)? (?:se )?(?:es |est |wird )?(?:monitor|supervis|revis|consult|atend|attend|letto|surveill)",
    re.I,
)
_away = re.compile(
    r"\bout of (?:the )?office\b|\bon (?:annual|maternity|paternity|parental|sick|medical|study) leave\b"
    r"|\b(?:silenced notifications|notifications (?:are|have been) silenced)\b"
    r"|\bi(?:['’]m| am) (?:currently |still )?(?:driving|on (?:vacation|holiday|leave)|away from my "
    r"(?:phone|desk|e-?mail)|travel+ing with)\b|\bno longer work (?:for|at|here)\b"
    r"|\bthis (?:number|phone|line|service) (?:does not|doesn['’]t|cannot|can['’]t|is unable to) (?:accept"
    r"|receive|take)\b|\b(?:recipient|subscriber|customer)[^\n.]{0,40}(?:cannot|unable to|not available"
    r"|unavailable)\b"
    r"|\byour (?:message|e-?mail|request|ticket|call) (?:#?\w+ )?(?:will be (?:read|answered)|has been "
    r"received|is important to us|was received)\b|\bwe have received your (?:message|request|e-?mail)\b"
    r"|\b(?:thanks|thank you) for (?:your (?:message|e-?mail|text)|contacting|texting|getting in touch "
    r"with|calling)\b[^\n]{0,80}\b(?:will|we['’]ll|i['’]ll|shortly|soon|closed|hours|return)\b"
    r"|\b(?:postfach|mailbox|boîte|buzón|casella|caixa|postbus|ящик|skrzynka)\b[^\n.]{0,40}\b(?:nicht "
    r"gelesen|nicht überwacht|niet gelezen|pas consultée|no se revisa|non è (?:monitorata|controllata)"
    r"|não é (?:monitorada|lida)|не читается|nie jest (?:czytana|monitorowana))"
    r"|\b(?:estoy (?:conduciendo|de vacaciones|fuera de la oficina)|je (?:conduis|suis (?:en (?:congés?"
    r"|vacances)|absente?))|ich (?:fahre gerade|bin (?:im urlaub|nicht im büro|abwesend))|estou "
    r"(?:dirigindo|conduzindo|de férias|fora do escritório)"
    r"|(?:sto guidando|sono (?:alla guida|in ferie|fuori ufficio))|ik (?:rijd|ben (?:met vakantie|afwezig"
    r"|aan het rijden))|я (?:за рулем|в отпуске)|jestem (?:na urlopie|poza biurem)|araç kullanıyorum"
    r"|izindeyim|saya sedang (?:mengemudi|cuti|menyetir))"
    r"|正在开车|我现在有事|開車中|開车|運転中|休暇中|외출|운전 ?중|휴가 ?중|أقود السيارة|خارج "
    r"المكتب|في إجازة|गाड़ी चला|छुट्टी पर|ขับรถอยู่|lái xe",
    re.I,
)
"""What an automatic answer says, or a person who is away."""
_asks = re.compile(
    r"\b(?:stop|unsub\w*|opt(?:ed)?[- ]?out|remove|delete|don['’]?t|do not|never|no more|keep|start|alto"
    r"|basta|arrêtez|stopp|abmelden)\b",
    re.I,
)


class Written:
    """What the customer wrote, and whether a machine or a phone wrote the rest."""

    __slots__ = ("by_machine", "text")

    def __init__(self, text: str, by_machine: bool) -> None:
        self.text = text
        """May be empty; contains `GAP` where something was too long to be read."""
        self.by_machine = by_machine
        """Whether the text is an automatic answer, or nothing is left of a reaction or an echo of our message."""


def written_part(reply: str) -> Written:
    """The part of a reply that the customer wrote, read in a time that is bounded for any length."""
    text = reply.strip()
    if len(text) > MAX_HEAD + MAX_TAIL:
        text = f"{text[:MAX_HEAD]}\n{GAP}\n{text[-MAX_TAIL:]}"
    if len(text) < _SHORTEST_ADDITION:
        return Written(text, False)
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n").replace("\u200b", "")
    bare = _tapback.sub("", text)
    if _automatic.search(bare) or (_away.search(bare) and not _asks.search(bare)):
        return Written(bare, True)
    unquoted = _without_quote(bare)
    without_notice = _notice.sub(" ", unquoted) if _may_notice.search(unquoted) else unquoted
    own_words = _without_footer(without_notice).strip()
    is_echo = not own_words and bool(unquoted.strip())
    return Written(own_words, is_echo or not bare.strip())


_SHORTEST_ADDITION = 10
"""A shorter text has neither quote nor signature in it."""


def _without_quote(text: str) -> str:
    """Without the message that is answered, wherever it stands."""
    if not _may_quote.search(text):
        return text
    text = _quoted_line.sub("", text)
    for match in filter(None, (_wrote.search(text), _header.search(text))):
        start = match.start()
        if match.re is _wrote and not any(map(str.isdigit, match[0])):  # folded: the date is in the line before
            start = text.rfind("\n", 0, max(start - 1, 0)) + 1
        text = text[:start] if text[:start].strip() else text[match.end() :]
    return text


def _without_footer(text: str) -> str:
    """Without signature and footer, as long as something stands above them."""
    text = _sent_from.sub("", text)
    for mark in (_signature, _footer) if "\n" in text else ():
        for match in mark.finditer(text):
            if text[: match.start()].strip():
                text = text[: match.start()]
                break
    return text
