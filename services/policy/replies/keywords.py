"""Keywords: the words by which carriers everywhere end and begin messages, and our own KEEP.

The keywords are in the languages most spoken, with their usual misspellings, as `normalize` spells them.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Literal

from services.policy.replies.words import normalize

Keyword = Literal["stop", "resume", "keep"]

_STOP = """
en: stop, stop all, stopall, unsubscribe, unsubscribed, unsub, quit, cancel, end, revoke, opt out, optout, remove,
    enough,
    cease, desist, discontinue, stop sms, stop text, stop texts, stop messages, stop msg, stop msgs, no more, un
    subscribe
es: alto, basta, parar, pare, paren, para, baja, salir, no mas, cancelar, detener, detengan, desuscribir, desuscribirme,
    dar de baja, darme de baja, dame de baja, denme de baja, quitar, eliminar, terminar, basta ya, ya basta, para ya
fr: arret, arreter, arretez, arrete, stopper, stoppez, desabonner, desabonnez, me desabonner, desabonnement,
    desinscrire,
    desinscription, desinscrivez moi, se desabonner, resilier, annuler, assez, ca suffit, suffit
pt: pare, parar, parem, sair, cancelar, remover, chega, encerrar, descadastrar, descadastre, desinscrever, descadastro
de: stopp, abmelden, abmeldung, abbestellen, austragen, aufhoren, aufhoeren, beenden, kundigen, kuendigen, schluss,
    genug, halt,
    abbrechen, stornieren, loschen, loeschen, abbestellung
it: ferma, fermare, fermate, fermati, arresta, basta, smettere, smettila, smettetela, disiscrivi, disiscrivimi,
    disiscriviti,
    cancellami, cancella, annulla, annullare, disdici, disdire, rimuovi, rimuovimi, esci, termina, disattiva
nl: stoppen, afmelden, uitschrijven, opzeggen, genoeg, beeindigen, annuleren, afmelding, uitschrijving, ophouden, kappen
pl: koniec, wypisz, wypisz mnie, rezygnuje, rezygnacja, anuluj, dosc, zatrzymaj, przestan, przestancie, usun, wylacz
ru: стоп, стой, хватит, отписаться, отписка, отпишите, отпишите меня, отмена, отменить, прекратить, прекратите,
    довольно,
    перестаньте, остановить, остановите, отказ, отказаться, отключить, отключите, удалить, удалите
uk: стоп, досить, відписатися, відпишіть, припиніть, відмова, годі
tr: dur, durdur, iptal, ret, cikis, abonelikten cik, yeter, durdurun, son, vazgec
ar: ايقاف, إيقاف, توقف, توقفوا, قف, أوقف, أوقفوا, إلغاء, الغ, ألغ, إلغاء الاشتراك, الغاء الإشتراك, ستوب, كفى, كفاية,
    خروج, حذف, يكفي, بس
hi: रोकें, रोको, रोकिए, रोकिये, रोक दो, रोक दें, बंद करो, बंद करें, बंद कर दो, बंद करिए, बंद कीजिए, बन्द करो, बन्द
    करें, बंद, स्टॉप, रुको, रुकें, रुकिए, हटाएं, हटाओ, रद्द करें,
    अनसब्सक्राइब, band karo, band kar do, band kare, roko, ruko, rok do, bas karo
bn: বন্ধ, বন্ধ করুন, বন্ধ করো, বন্ধ কর, থামুন, থামাও, থামান, স্টপ, বাতিল, বাতিল করুন, bondho koro, bondho korun
ur: بند, بند کریں, بند کرو, بند کر دیں, بند کردیں, روکیں, روکو, روک دیں, سٹاپ, اسٹاپ, ختم, ختم کریں, منسوخ
pa: ਰੋਕੋ, ਬੰਦ ਕਰੋ, ਬੰਦ, ਸਟਾਪ
mr: थांबवा, थांबा, बंद करा
gu: બંધ કરો, રોકો, બંધ
ta: நிறுத்து, நிறுத்தவும், நிறுத்துங்கள், ஸ்டாப்
te: ఆపు, ఆపండి, ఆపివేయండి, స్టాప్
zh: 退订, 退訂, 停止, 停, 停止发送, 停止發送, 取消, 取消订阅, 取消訂閱, 停止订阅, 停止訂閱, 退出,
    取订, 拒收, 不要再发, 不要再發, 不要再发了, 不要再發了, 别发了, 別發了, 别再发了, 別再發了,
    够了, 夠了, 终止, 終止, 結束, 结束, td, 退, tuiding
ja: 停止, 中止, 解除, 配信停止, 配信解除, 登録解除, 購読解除, やめて, やめてください, 止めて,
    止めてください, ストップ, 退会, キャンセル, 終了, 解約, 停止してください
ko: 중지, 중단, 정지, 수신거부, 수신 거부, 거부, 그만, 그만해, 그만하세요, 그만 보내세요,
    그만보내세요, 해지, 취소, 스톱, 스탑, 구독취소, 구독 취소, 수신중단, 멈춰, 종료, 탈퇴
vi: dung, dung lai, ngung, ngung lai, huy, huy bo, huy dang ky, tu choi, thoi, cham dut, ket thuc
id: berhenti, hentikan, batal, batalkan, berhenti langganan, berhenti berlangganan, unreg, setop, cukup, sudahi,
    keluar, henti, tamat
th: หยุด, ยกเลิก, พอ, พอแล้ว, หยุดส่ง, เลิก, ยุติ
tl: hinto, itigil, tigil, ihinto, tama na, tigilan, itigil na, tumigil, ayaw ko na, kanselahin
fa: لغو, توقف, استاپ, لغو اشتراک, لغو عضویت, بس است, بسه, کافیست, قطع
sw: acha, simama, simamisha, sitisha, komesha, ondoa, ghairi, inatosha, acheni, jiondoe
ro: opreste, opriti, dezabonare, dezabonati, ajunge, anuleaza, renunta
el: στοπ, σταματα, σταματηστε, διαγραφη, τελος, ακυρωση, διακοπη
he: הסר, הסרה, עצור, די, להסיר, הפסק, ביטול, תפסיקו, הסירו, סטופ, מספיק
sv: stoppa, sluta, avsluta, avregistrera, avbryt, avanmal, avprenumerera, stop, stopp, afmeld, frameld, avmeld, slut,
    slutt, nok, lopeta, seis, peruuta, poista
cs: konec, prestante, zrusit, odhlasit, dost, odhlasenie, zastavit, leallit, leiratkozas, elég, eleg, lemondom, allj,
    vege
"""
_RESUME = """
en: start, unstop, resume, restart, subscribe, resubscribe, re subscribe, opt in, optin, opt back in, start again, un
    stop, begin,
    continue, unsubscribe undo, subscribe me, resubscribe me, resume messages, start messages, start texts, rejoin,
    join, undo stop,
    start sms, restart messages, opt me in, opt me back in, sign me up again, reactivate, cancel unsubscribe, cancel
    opt out, cancel optout, cancel stop, cancel my stop, cancel my opt out
es: reanudar, empezar, comenzar, iniciar, inicio, alta, darme de alta, dar de alta, suscribir, suscribirme,
    suscribirse, reactivar, activar, continuar, reanuda, comienza, empieza, volver
fr: reprendre, commencer, demarrer, debut, abonner, sabonner, reabonner, mabonner, reabonnez moi, abonnez moi,
    reactiver, continuer, reprise, inscrire, minscrire, reinscrire, recommencer, recommencez, reprenez
pt: iniciar, comecar, recomecar, retomar, reativar, assinar, reiniciar, inscrever, continuar, voltar, cadastrar,
    retome, comece, retornar
de: starten, abonnieren, anmelden, weiter, fortsetzen, wieder anmelden, beginnen, reaktivieren, aktivieren,
    wiederaufnehmen, weitermachen, neustart, anmeldung, wieder
it: inizia, iniziare, riprendi, riprendere, avvia, avviare, iscrivimi, iscriviti, attiva, riattiva, abbonami,
    ricomincia, riprendete, continua, iscrizione, ricominciare
nl: aanmelden, hervatten, starten, beginnen, herstarten, begin, inschrijven, abonneren, doorgaan, hervat, heractiveren
pl: wznow, zapisz, zapisz mnie, rozpocznij, zacznij, subskrybuj, wznowic, zaczac, aktywuj, kontynuuj
ru: старт, начать, начните, возобновить, возобновите, подписаться, подписка, подпишите, продолжить, включить,
    включите, снова
uk: старт, почати, відновити, підписатися
tr: basla, baslat, abone, abone ol, devam, devam et, tekrar baslat, basla tekrar, yeniden baslat
ar: ابدأ, بدء, ابدؤوا, البدء, استئناف, اشتراك, اشترك, تفعيل, متابعة, استمرار, ستارت
hi: शुरू, शुरू करें, शुरू करो, शुरु करो, शुरु करें, शुरू कीजिए, चालू, चालू करें, चालू करो, प्रारंभ, आरंभ, स्टार्ट, फिर
    से शुरू करें, फिर शुरू करो, सदस्यता लें, shuru karo, shuru kare, chalu karo
bn: শুরু, শুরু করুন, শুরু করো, চালু, চালু করুন, আবার শুরু করুন, স্টার্ট
ur: شروع, شروع کریں, شروع کرو, دوبارہ شروع کریں, جاری رکھیں, چالو کریں, بحال کریں
pa: ਸ਼ੁਰੂ, ਸ਼ੁਰੂ ਕਰੋ, ਚਾਲੂ
mr: सुरू, सुरू करा, चालू करा
gu: શરૂ, શરૂ કરો, ચાલુ કરો
ta: தொடங்கு, தொடங்கவும், தொடரவும்
te: ప్రారంభించు, ప్రారంభించండి, మొదలుపెట్టండి
zh: 订阅, 訂閱, 重新订阅, 重新訂閱, 恢复, 恢復, 开始, 開始, 重新开始, 重新開始, 继续, 繼續,
    继续订阅, 恢复订阅, 恢復訂閱, 恢复发送, 启动, 啟動
ja: 再開, 開始, 登録, 再登録, 購読, スタート, 配信再開, 再開してください, 配信開始, 始めて
ko: 시작, 재개, 구독, 수신동의, 수신 동의, 다시 시작, 다시시작, 재시작, 재구독, 스타트, 수신재개, 다시 보내주세요
vi: bat dau, bat dau lai, dang ky, dang ky lai, tiep tuc, dk, mo lai, khoi dong lai
id: mulai, mulai lagi, lanjut, lanjutkan, daftar, reg, langganan, berlangganan, berlangganan lagi, aktifkan, sambung
th: เริ่ม, เริ่มใหม่, เริ่มต้น, สมัคร, สมัครใหม่, รับข้อความ, ดำเนินการต่อ, เปิด
tl: simulan, magsimula, ituloy, simulan muli, simulan ulit, ipagpatuloy
fa: شروع, شروع مجدد, عضویت, ادامه, فعال, آغاز
sw: anza, anza tena, endelea, jiunge, jisajili, anzisha, rejesha
ro: incepe, porneste, reia, aboneaza, abonare, reluare, continua
el: εναρξη, ξεκινα, εγγραφη, συνεχεια, επανεκκινηση
he: התחל, התחלה, הרשמה, להירשם, חידוש, הצטרפות, המשך
sv: starta, borja, borja igen, ateruppta, prenumerera, anmal, fortsatt, tilmeld, gjenoppta, aloita, jatka, tilaa,
    start igen, start igjen, begynn
cs: zacit, obnovit, prihlasit, pokracovat, spustit, indit, feliratkozas, folytatas, ujra
"""
_KEEP = """
en: keep, keep it, keep this, keep that, keep offer, keep the offer, keep discount, keep the discount, keep my
    discount, keep deal, keep the deal
es: conservar, mantener, conservarlo, mantenerlo, conservo, lo conservo, conservar oferta
fr: garder, conserver, je garde, gardez, garde, je le garde, je la garde, je conserve
pt: manter, mantenho, ficar com ele, mantem, mantenha
de: behalten, ich behalte, ich behalte es, beibehalten
it: mantieni, mantenere, tenere, mantengo, conserva, conservare, lo tengo
nl: behouden, houden, ik behoud, ik hou het
pl: zachowaj, zachowuje, zatrzymuje, zachowac
ru: оставить, сохранить, оставляю, сохраняю, оставьте, сохраните, кип
tr: tut, sakla, tutuyorum, kalsin, koru
ar: احتفظ, أحتفظ, الاحتفاظ, ابق, أبقي, احتفظ به
hi: रखें, रखो, रखना है, कीप, रख लो, रखिए, rakho, rakhna hai
bn: রাখুন, রাখো, রাখব, কিপ
ur: رکھیں, رکھو, رکھنا ہے, کیپ
zh: 保留, 我要保留, 保留优惠, 保留優惠
ja: キープ, 保持, キープします, 維持
ko: 유지, 킵, 유지할게요, 유지합니다
vi: giu, giu lai, giu nguyen
id: simpan, pertahankan, tetap
th: เก็บไว้, คงไว้, เก็บ, รักษาไว้
tl: panatilihin, itago
fa: نگه دار, نگه دارید, حفظ, نگه میدارم
sw: weka, baki nayo, hifadhi
ro: pastrez, pastreaza
el: κρατα, κραταω, το κραταω, διατηρηση
he: שמור, לשמור, שומר
sv: behall, behalla, beholde, behold, jag behaller, pida, pidan
cs: nechat, ponechat, nechavam si, megtart, megtartom
"""
_FILLER = """
please pls plz plse ok okay k now all just it this that thanks thank you ty thx cheers hi hello hey dear the and i
    said a again sir madam maam mam
sorry really right immediately today at once messages message texts text txt txts sms msgs msg service guys asap u
    kindly already yes yeah yep
team folks bro man dude lol ugh ffs completely permanently forever much so very many kind regards best god bless good
    morning evening
por favor gracias muchas hola ya si porfa porfavor por favorcito sms mensajes
svp stp sil vous te plait merci bonjour oui les messages le la maintenant
bitte danke hallo ja jetzt sofort alle die sms nachrichten
obrigado obrigada ola sim agora mensagens as os
grazie prego per favore ciao subito si messaggi i
aub alstublieft alsjeblieft dank je wel bedankt nu berichten graag
prosze dziekuje tak teraz natychmiast
пожалуйста спасибо да здравствуйте всё все сейчас смс сообщения
будь ласка дякую так
lutfen tesekkurler evet hemen merhaba
من فضلك فضلكم شکرا لو سمحت نعم الان رجاء الرجاء الرسائل
कृपया धन्यवाद प्लीज जी हां हाँ मैसेज संदेश अभी
দয়া করে প্লিজ ধন্যবাদ হ্যাঁ মেসেজ
براه کرم مہربانی پلیز شکریہ جی ہاں لطفا ممنون بله میسج
xin vui long cam on vang tin nhan ngay
tolong mohon terima kasih ya pesan sekarang dong
tafadhali asante ndiyo ujumbe
po salamat paki pakiusap oo naman na lang
tack snalla var vanlig takk kiitos tak tak
"""
_FILLER_PARTS = re.compile(
    "请|請|もう|してください|して下さい|谢谢|謝謝|お願いします|ください|下さい|주세요|부탁합니다|부탁드립니다|해줘|해주세요|하세요|합니다|กรุณา|ขอบคุณ|ครับ|ค่ะ|คะ|นะ|吧|了|短信|简讯|メール"
    "|メッセージ|문자|ข้อความ"
)
"""Filler of scripts without blanks between words."""
_NO = frozenset(
    "no nope nah non nein nao nee nie нет ні hayir لا نہیں नहीं না 不 いいえ 아니요 khong tidak ไม่ hindi hapana nu oxi"
    " לא nej".split()
)
"""No is filler beside STOP only."""
_EMOJI = {"🛑": "stop", "⛔": "stop", "🚫": "stop", "✋": "stop", "🖕": "stop"}
_accepting = frozenset(
    normalize(
        "keep yes yeah yep yup ok okay sure please pls plz i we ill id want wanna will like love to hi "
        "hello hey thanks thank thx ty you"
        " it my me this that the offer discount deal price rate plan savings let lets us so much great a an"
        " by before until till at off of for from on percent pct next bill month promo promotion special "
        "lower good nice perfect cool fine"
        " awesome definitely absolutely kindly just gonna am and confirm confirmed answer is reply replying code"
        " today tomorrow january february march april may june july august september october november december"
        " jan feb mar apr jun jul aug sep sept oct nov dec monday tuesday wednesday thursday friday saturday sunday"
        " best regards kind many lot morning evening afternoon lovely dear all with w acct account "
        "customer ref number ending"
        " mob mobile tel membership contract service subscription broadband connection internet energy "
        "gym box boxes our mine"
        " open valid still its date word say same then"
    ).split()
)
"""A text accepts the offer if all its words are among these or numbers, KEEP is one of them, and it asks nothing."""
_REAL_WORDS = frozenset(
    "shop step slop stow stoa atop top sop stomp strop estop to so sto top stob stot swop ston"
    " smart star stars stark tart stat state stare starch tar art starts started tarts scart stair startup"
    " keen seep deep weep jeep peep beep kelp kemp kept kee eep ken kep kip key keg veep meep"
    " ed en and bend send lend mend tend fend wend rend vend ned den eng ens enc gend"
    " quiet quite quilt quip suit qui quid squit quoit quint"
    " resumes presume resumed".split()
)
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def _entries(table: str) -> Iterator[str]:
    for entry in re.split(r",|\n(?=\w\w:)", table.replace("\n   ", " ")):
        yield " ".join(normalize(re.sub(r"^\s*\w\w:", "", entry)).split())


def _misspelt(word: str) -> Iterator[str]:
    """All words at one letter dropped, added, replaced, or swapped with its neighbour (Damerau 1964)."""
    for i in range(len(word) + 1):
        head, tail = word[:i], word[i:]
        yield from (head + letter + tail for letter in _LETTERS)
        if tail:
            yield head + tail[1:]
            yield from (head + letter + tail[1:] for letter in _LETTERS)
        if len(tail) > 1:
            yield head + tail[1] + tail[0] + tail[2:]


def _table() -> dict[str, Keyword]:
    kinds: dict[str, Keyword] = {}
    listed: tuple[tuple[Keyword, str], ...] = (("stop", _STOP), ("resume", _RESUME), ("keep", _KEEP))
    for kind, table in listed:
        kinds |= {entry: kind for entry in _entries(table) if entry}
    misspelt: dict[Keyword, str] = {
        "stop": "stop stopall unsubscribe unsubscribed cancel remove optout abmelden desabonner",
        "resume": "start unstop resume subscribe restart",
        "keep": "keep",
    }
    more: tuple[tuple[Keyword, str], ...] = (
        (
            "stop",
            "stahp stap stopppp sttop stop[ qit qiut unsuscribe unsubcribe unsubscibe unsubsribe "
            "unsuscrib unsubscrib unsubsrcibe"
            " unsibscribe unscribe unsuscribed unsubcribed optot sotpp stopit stoppit stops stopping "
            "cancle cancell quitt quti remvoe ebd edn",
        ),
        ("resume", "starrt strat satrt stert unstopp unsotp resubscibe"),
        ("keep", "keeep kepe keap ceep keeps kpee keeo keepit keppit"),
    )
    for kind, words in more:
        kinds = {word: kind for word in words.split()} | kinds
    for kind, words in misspelt.items():
        for word in words.split():
            kinds = {near: kind for near in _misspelt(word) if near not in _REAL_WORDS} | kinds
    return kinds


KEYWORDS = _table()
FILLER = frozenset(normalize(_FILLER).split())
_LONGEST = max(map(len, KEYWORDS))
_word = re.compile(r"[^\W_][\w\u0900-\u0dff\u0e00-\u0e7f]*\[?|[🛑⛔🚫✋🖕%]")
_number = re.compile(r"\d+(?:st|nd|rd|th|k)?|%")


def words_of(clause: str) -> list[str]:
    """The words of a normalised clause; a stop sign is a word."""
    return _word.findall(clause)


def keyword_kind(words: Sequence[str]) -> Keyword | None:
    """The kind of a clause that consists of keywords of one kind and filler."""
    words = [_EMOJI.get(word, word) for word in words]
    if len(words) > 12:
        return None
    bare = [word for word in words if word not in FILLER and word not in _NO]
    kind = _one_kind(bare) or _one_kind(words)
    if kind != "stop" and any(word in _NO for word in words):
        return _one_kind(words)
    return kind


def _one_kind(words: Sequence[str]) -> Keyword | None:
    phrase = " ".join(words)
    if not phrase or len(phrase) > 200:
        return None
    if kind := KEYWORDS.get(phrase):
        return kind
    if not phrase.isascii() and (kind := KEYWORDS.get(_FILLER_PARTS.sub("", phrase).strip())):
        return kind
    kinds = {KEYWORDS.get(word) for word in words}
    return kinds.pop() if len(kinds) == 1 else None


def accepts(words: Sequence[str]) -> bool:
    """Whether the words say KEEP and beside it only what we offered: percent, dates, thanks."""
    return (
        "keep" in words
        and may_keep(" ".join(words))
        and all(word in _accepting or _number.fullmatch(word) for word in words)
    )


_not_keeping = re.compile(
    r"\b(?:dont|do not|not|no|never|wont|will not|wouldnt|cant|cannot|why|should|would(?! (?:like|love))"
    r"|if|you(?: can| could| may| should)?|they|he|she|youre|maybe|already said|said|what|whether|already)"
    r"(?: \w+){0,3} keep\b|\bkeep\w* (?:\w+ )?(?:in mind|up\b|away\b)|\bkeep (?:or|your|me (?:posted"
    r"|informed|updated|in\b|up)|the (?:change|noise)|in|calm|well|safe|trying|going|quiet|out|on|smiling"
    r"|\w{3,}ing)\b|\bkeeps\b|\bkeeping\b.*\bnot\b|\bnot be keeping\b"
)


_stopping = re.compile(
    r"\b(?:stop\w*|unsub\w*|remov\w*|delet\w*|dont|do not|never|no more|quit|cease|opt(?:ed|ing)? ?out"
    r"|leave|alone|off|enough|block\w*|report\w*)\b"
)


def may_keep(text: str) -> bool:
    """Whether nothing in the normalised text says that KEEP in it is refused, in doubt, or another word ("keep in
    touch")."""
    return not _not_keeping.search(text)


_clause_end = re.compile(r"[,;.!\n،、，。！()\[\]:–—]| - |\b(?:but|so|and i say|i say|and)\b")


def keeps_in_a_clause(text: str) -> bool:
    """Whether one clause of the normalised text is an acceptance by KEEP, and nothing in it sounds like the
    contrary."""
    if "keep" not in text or "?" in text or not may_keep(text) or _stopping.search(text):
        return False
    return any(accepts(words_of(clause)) for clause in _clause_end.split(text))
