"""Sentences that are made from patterns: the same words about our messages, and about the service.

What an opt-out and a complaint have in common ("stop …", "no more …", "I never signed up for …") says nothing about
which of them a sentence is. Here it is filled with either, so that the classifier learns from the rest.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from training.replies.phrases import Phrase

PER_PATTERN = 30
"""Most sentences that are drawn of one pattern."""
SENTENCE = "made"
"""Their column `sentence`: they are only ever trained on."""

SLOTS = {
    "en": {
        "please": "|please |pls |just |kindly |could you |can you please |I want you to |hi, |ok, ",
        "end": "|| please| now| thanks| thank you|, thanks|!| pls| today| asap| for good| already| immediately",
        "stop": "stop|quit|cease|stop",
        "texting": (
            "texting|messaging|contacting|emailing|writing to|spamming|pestering|bothering|harassing|notifying"
            "|calling|annoying|disturbing|hounding|bombarding|nagging"
        ),
        "text": "text|message|contact|email|write to|spam|bother|disturb|call|ping|notify|pester",
        "me": "me|me|us|this number|my phone|my husband|my mother|this address|my mobile",
        "messages": (
            "texts|messages|text messages|sms|emails|e-mails|notifications|alerts|newsletters|promos"
            "|promotions|offers|marketing texts|marketing|adverts|spam|mailings|communications|promotional "
            "messages|reminders|messages like this|sales texts|campaigns|advertising|contact|junk"
        ),
        "these": "these|the|your|all|all these|any more|any|such|more|further|your stupid|any of your",
        "list": (
            "list|mailing list|database|system|contact list|records|marketing list|distribution list|text list"
            "|files|books"
        ),
        "remove": "remove|delete|erase|take|drop|scrub|strike",
        "my_number": (
            "me|my number|my name|my email|my details|us|this number|my phone|my contact|my husband's number|her number"
        ),
        "money": (
            "my bill|the price|my rate|the fees|my direct debit|the monthly cost|my payment date|the tariff|my deposit"
        ),
        "thing": (
            "wifi|internet|broadband|connection|signal|router|modem|tv box|app|website|line|landline|phone|sim"
            "|remote|delivery|parcel|meal box|class|shower|treadmill|sauna|dashboard|export|login|sync|meter"
            "|heating|hot water|power|voicemail|stream|subtitles|sound|picture|upload|battery|gym|locker"
            "|invoice|portal|box|stream quality|5g|hold music|chatbot"
        ),
        "broken": (
            "annoying|slow|down|broken|off|wrong|late|useless|gone|dead|frozen|unbearable|a joke|not working"
            "|faulty|cold|terrible|overpriced|so irritating"
        ),
        "drops": (
            "dropping|stopping|crashing|freezing|buffering|failing|quitting|ending|closing|logging me out"
            "|cutting out|going off|disconnecting|stuttering|turning itself off"
        ),
        "when": (
            "|| again| all the time| since Monday| every evening| for a week| today| in my area| since the "
            "update| at night"
        ),
        "charging": (
            "charging me twice|charging me for the old plan|charging my old card|billing me for a line I "
            "don't have|taking money twice|overcharging me|raising my price|putting up the price|increasing "
            "my bill|adding fees|cutting my line|cutting off my internet|throttling my data|slowing down my "
            "connection|cancelling my bookings|moving my class|changing the menu|delivering to the wrong house"
            "|leaving parcels outside|losing my orders|putting me on hold|transferring me|hanging up on me"
            "|closing my tickets|logging me out|blaming the router|sending engineers who don't turn up"
            "|sending me the wrong box|sending bills to my old address|passing me around|ignoring my tickets"
            "|changing my plan|estimating my meter|wasting my data|giving me the runaround|playing that music"
            "|removing my favourite shows|interrupting my stream|renewing my add-on|restarting my router"
            "|putting mushrooms in my box|blocking my calls|deducting money from my wallet|eating my data"
            "|debiting my account"
        ),
        "fees": (
            "price rises|hidden fees|outages|delays|late deliveries|excuses|mushrooms|surprises on my bill"
            "|cuts|extra charges|waiting on hold|empty promises|buffering|price increases|power cuts|dropped "
            "calls|broken machines|meat in my box|overcharging|late fees"
        ),
        "addon": (
            "the sports package|paper bills|the insurance|a new contract|a landline|the upgrade|fish in my box"
            "|extra data|the premium plan|another router|a technician|the antivirus|cold showers|a second line"
            "|the film channels|nuts in my order|automatic renewal|roaming|the phone cover|the trial|the "
            "maintenance plan"
        ),
        "fee": (
            "late fee|extra charge|roaming fee|admin fee|second line|old card|add-on|insurance|duplicate "
            "payment|tax|delivery charge|booster|parental lock|sports channels|penalty|old address|PIN|second "
            "user"
        ),
        "bill": "bill|account|plan|invoice|order|next bill|direct debit|profile|statement",
        "booking": (
            "appointment|order|delivery|booking|engineer visit|technician|callback|class on Friday|box this "
            "week|upgrade|spin class|add-on|next parcel|repair|change of tariff|call with the agent"
        ),
        "feature": (
            "roaming|voicemail|auto renew|auto pay|mobile data|call forwarding|the heating timer|subtitles"
            "|the pin|caller id|the night mode|parental control|the standing order|data saver"
        ),
        "offer": "offer|discount|deal|15%|15% off|10%|reduction|promotion|saving|special price|5% off my next bill",
        "plan": "plan|account|contract|service|line|membership|subscription plan|policy|broadband|tariff",
        "later": (
            "later|any time|after a month|next year|if I move|before the end|whenever I want|after the "
            "discount|without a fee|online"
        ),
        "name": "Sam|Priya|John|Maria|Mr Jones|David|Mrs Patel|Ahmed|Karen|Mike",
        "person": "number|person|guy|phone|line|woman|man|contact|email|address",
        "code": (
            "code|verification text|your text codes|texts from my bank|any messages from my friends|the "
            "password email|my confirmation email|the login code|delivery texts|two-factor texts|voicemail "
            "messages|the activation sms|calls"
        ),
        "others": "my mum|my friends|my bank|my clients|abroad|my son|other networks|anyone",
        "keepword": (
            "me posted|me informed|me updated|in touch|calm|well|safe|trying|going|smiling|it up|that in mind"
            "|the change|your word|up the good work|warm|quiet|the noise down|an eye on it|them coming|pushing"
            "|fit|healthy"
        ),
        "late": "|| please| by the way| thanks| asap|!|, it's wrong",
    },
    "es": {
        "stop": "dejen de|deja de|dejad de|paren de|por favor dejen de|cesen de",
        "texting": (
            "escribirme|mandarme mensajes|enviarme sms|contactarme|enviarme publicidad|mandarme correos"
            "|molestarme con mensajes|enviarme promociones"
        ),
        "messages": (
            "mensajes|sms|correos|publicidad|promociones|notificaciones|ofertas|avisos|propaganda|mensajes de "
            "texto|llamadas ni mensajes"
        ),
        "charging": (
            "cobrarme dos veces|subir el precio|cortar la luz|cortarme internet|cambiarme el plan|cancelar "
            "mis citas|cobrar de más|mandar al técnico equivocado|colgarme el teléfono|bajar la velocidad"
        ),
        "fees": "cortes|cobros|cargos ocultos|retrasos|excusas|subidas de precio|averías|cebolla en mi caja",
        "thing": (
            "el internet|el wifi|la señal|la conexión|el router|la app|la página|el servicio|la factura|el "
            "pedido|la caja|el gimnasio|la luz|el agua caliente"
        ),
        "broken": (
            "no funciona|se corta|está lento|está mal|es molesto|no llega|falla otra vez|va fatal|es carísimo"
            "|se cae todas las noches"
        ),
        "fee": "cargo|recargo|seguro|paquete de deportes|segunda línea|coste extra|canal de cine",
        "list": "lista|base de datos|sistema|lista de contactos|registro",
    },
    "fr": {
        "stop": "arrêtez de|arrete de|cessez de|merci d'arrêter de|stop, arrêtez de|veuillez cesser de",
        "texting": (
            "m'écrire|m'envoyer des messages|m'envoyer des sms|me contacter|m'envoyer de la pub|m'envoyer des "
            "mails|me harceler de messages|me relancer par sms"
        ),
        "messages": (
            "messages|sms|mails|pub|promotions|notifications|offres|publicité|newsletters|textos|sollicitations"
        ),
        "charging": (
            "me facturer deux fois|augmenter les prix|couper ma ligne|changer mon forfait|annuler mes "
            "rendez-vous|me prélever deux fois|me raccrocher au nez|livrer chez le voisin|ralentir ma "
            "connexion"
        ),
        "fees": "coupures|frais cachés|retards|excuses|augmentations|pannes|oignons dans ma box",
        "thing": (
            "internet|le wifi|la connexion|le réseau|la box|l'application|le site|la facture|le colis|le "
            "chauffage|la salle de sport|l'eau chaude"
        ),
        "broken": (
            "ne marche pas|coupe tous les soirs|est lent|est faux|est pénible|n'arrive pas|plante encore|est "
            "trop cher|ne fonctionne plus"
        ),
        "fee": "frais|pénalité|assurance|option sport|deuxième ligne|supplément",
        "list": "liste|base de données|fichier|liste de diffusion",
    },
    "de": {
        "stop": "hören sie auf|hört auf|hör auf|bitte hören sie auf|lassen sie es",
        "texting": (
            "mir zu schreiben|mir nachrichten zu schicken|mir sms zu senden|mich zu kontaktieren|mir werbung "
            "zu schicken|mich mit nachrichten zu belästigen|mich anzuschreiben"
        ),
        "messages": (
            "nachrichten|sms|mails|werbung|werbenachrichten|benachrichtigungen|angebote per sms|newsletter"
            "|werbe-sms|mitteilungen"
        ),
        "charging": (
            "doppelt abzubuchen|die preise zu erhöhen|mir die leitung zu kappen|meinen tarif zu ändern|meine "
            "termine abzusagen|beim nachbarn abzugeben|einfach aufzulegen|mein internet zu drosseln"
        ),
        "fees": "ausfälle|versteckten kosten|verspätungen|ausreden|preiserhöhungen|störungen|zwiebeln in der box",
        "thing": (
            "das internet|das wlan|die verbindung|das netz|der router|die app|die seite|die rechnung|das paket"
            "|die heizung|das studio|das warmwasser"
        ),
        "broken": (
            "geht nicht|fällt jeden abend aus|ist langsam|ist falsch|nervt|kommt nicht|stürzt ab|ist zu teuer"
            "|funktioniert nicht mehr"
        ),
        "fee": "gebühr|mahngebühr|versicherung|sportpaket|zweite leitung|zusatzkosten",
        "list": "liste|datenbank|verteiler|adressliste",
    },
    "pt": {
        "stop": "parem de|pare de|para de|por favor parem de|deixem de",
        "texting": (
            "me mandar mensagem|me enviar sms|me escrever|entrar em contato|me mandar propaganda|enviar-me "
            "mensagens|me mandar e-mails|contactar-me"
        ),
        "messages": "mensagens|sms|e-mails|propaganda|promoções|notificações|publicidade|ofertas por sms|avisos",
        "charging": (
            "me cobrar duas vezes|aumentar o preço|cortar minha internet|mudar meu plano|cancelar minhas "
            "consultas|entregar no vizinho|desligar na minha cara|baixar a velocidade"
        ),
        "fees": "quedas|taxas escondidas|atrasos|desculpas|aumentos|falhas|cebola na minha caixa",
        "thing": (
            "a internet|o wifi|o sinal|a conexão|o roteador|o aplicativo|o site|a fatura|o pedido|a academia"
            "|a luz|a água quente"
        ),
        "broken": (
            "não funciona|cai toda noite|está lento|está errado|é chato|não chega|travou de novo|é muito caro"
            "|parou de funcionar"
        ),
        "fee": "taxa|multa|seguro|pacote de esportes|segunda linha|cobrança extra",
        "list": "lista|base de dados|sistema|cadastro",
    },
    "it": {
        "stop": "smettete di|smettila di|smettetela di|basta|per favore smettete di",
        "texting": (
            "scrivermi|mandarmi messaggi|inviarmi sms|contattarmi|mandarmi pubblicità|inviarmi promozioni"
            "|mandarmi email|tempestarmi di messaggi"
        ),
        "messages": "messaggi|sms|email|pubblicità|promozioni|notifiche|offerte via sms|newsletter|comunicazioni",
        "charging": (
            "addebitarmi due volte|aumentare i prezzi|tagliarmi la linea|cambiarmi il piano|annullare i miei "
            "appuntamenti|consegnare al vicino|riattaccare|rallentare la connessione"
        ),
        "fees": "disservizi|costi nascosti|ritardi|scuse|aumenti|guasti|cipolle nella mia box",
        "thing": (
            "internet|il wifi|il segnale|la connessione|il router|l'app|il sito|la bolletta|il pacco|il "
            "riscaldamento|la palestra|l'acqua calda"
        ),
        "broken": (
            "non funziona|cade ogni sera|è lento|è sbagliata|dà fastidio|non arriva|si blocca ancora|costa "
            "troppo|non va più"
        ),
        "fee": "addebito|mora|assicurazione|pacchetto sport|seconda linea|costo extra",
        "list": "lista|database|elenco|rubrica",
    },
    "ru": {
        "messages": "сообщений|смс|рекламы|рассылок|писем|уведомлений|ваших смс|спама",
        "thing": "интернет|роутер|сайт|приложение|связь|вай-фай|телевизор|отопление|доставка|сигнал",
        "broken": (
            "не работает|медленный|опять пропал|постоянно отваливается|глючит|пропадает каждый вечер|ужасный сегодня"
        ),
        "fees": "лишних списаний|перебоев|задержек|скрытых платежей|отключений|повышений цен",
    },
    "tr": {
        "messages": "mesaj|sms|reklam|bildirim|e-posta|promosyon mesajı",
        "thing": "internet|modem|uygulama|site|hat|sinyal|kargo|fatura",
        "broken": "çalışmıyor|çok yavaş|her akşam kesiliyor|yine gitti|hatalı|donuyor",
        "fees": "kesinti|gizli ücret|gecikme|zam|bahane",
    },
    "pl": {
        "messages": "wiadomości|smsów|reklam|maili|powiadomień|ofert",
        "thing": "internet|router|aplikacja|strona|sieć|rachunek|paczka|ogrzewanie",
        "broken": "nie działa|jest wolny|znowu padł|zrywa co wieczór|jest zły|się zawiesza",
        "fees": "awarii|ukrytych opłat|opóźnień|podwyżek|wymówek",
    },
    "nl": {
        "messages": "berichten|sms|reclame|mails|meldingen|aanbiedingen",
        "thing": "internet|wifi|router|app|website|verbinding|rekening|pakket|verwarming",
        "broken": "werkt niet|is traag|valt elke avond uit|klopt niet|is weer weg|loopt vast",
        "fees": "storingen|verborgen kosten|vertragingen|prijsverhogingen|smoesjes",
    },
    "zh": {
        "messages": "短信|信息|广告|推销短信|消息|垃圾短信|邮件",
        "thing": "网络|网速|宽带|路由器|信号|账单|快递|应用|电视",
        "broken": "有问题|太慢了|不能用|又断了|每天晚上都断|不对|坏了|很差",
        "fees": "乱扣费|断网|涨价|重复收费|隐藏费用",
    },
    "ar": {
        "messages": "رسائل|إعلانات|رسائل نصية|عروض|إشعارات",
        "thing": "الانترنت|الشبكة|الراوتر|التطبيق|الفاتورة|الخط|الطلب|الخدمة",
        "broken": "لا يعمل|بطيء|ينقطع كل مساء|غير صحيحة|معطل|ضعيف اليوم",
        "fees": "انقطاع|رسوم خفية|تأخير|زيادة الأسعار|خصم مرتين",
    },
    "hi": {
        "messages": "मैसेज|एसएमएस|विज्ञापन|संदेश|प्रमोशन",
        "thing": "इंटरनेट|नेटवर्क|वाईफाई|ऐप|बिल|सिग्नल|राउटर|रिचार्ज|टीवी",
        "broken": "नहीं चल रहा|बहुत धीमा है|बार बार बंद हो रहा है|गलत है|खराब है|शाम को चला जाता है",
        "fees": "पैसे काटना|ज्यादा पैसे लेना|दो बार चार्ज करना|बिल बढ़ाना",
    },
    "ja": {
        "messages": "メッセージ|メール|広告|SMS|お知らせ|宣伝メール",
        "thing": "ネット|回線|ルーター|アプリ|請求書|電波|荷物|テレビ",
        "broken": "が遅い|が繋がりません|が毎晩切れる|が間違っています|が届かない|が壊れました",
        "fees": "二重請求|値上げ|障害|遅延|隠れた料金",
    },
    "ko": {
        "messages": "문자|메시지|광고|메일|스팸 문자|알림",
        "thing": "인터넷|와이파이|앱|요금|신호|공유기|택배|티비",
        "broken": "이 느려요|이 안 돼요|이 자꾸 끊겨요|이 이상해요|이 틀렸어요|이 고장났어요",
        "fees": "이중 청구|요금 인상|장애|지연|숨은 요금",
    },
    "id": {
        "messages": "pesan|sms|iklan|promo|email|notifikasi",
        "thing": "internet|wifi|aplikasi|tagihan|sinyal|router|paket|listrik",
        "broken": "lambat sekali|mati terus|salah|tidak bisa dipakai|putus tiap malam|rusak",
        "fees": "tagihan ganda|biaya tersembunyi|gangguan|kenaikan harga|keterlambatan",
    },
    "vi": {
        "messages": "tin nhắn|sms|quảng cáo|email|thông báo",
        "thing": "mạng|internet|wifi|ứng dụng|hóa đơn|tín hiệu|bộ phát",
        "broken": "chậm quá|bị mất|không dùng được|sai rồi|tối nào cũng rớt|bị lỗi",
        "fees": "trừ tiền hai lần|tăng giá|phí ẩn|sự cố",
    },
}
"""Words for a slot of a pattern, by language."""

PATTERNS = {
    "en": {
        "stop": """{please}{stop} {texting} {me}{end}|{please}{stop} sending me {these} {messages}{end}
            {stop} sending {messages} to {me}{end}|{please}{stop} {these} {messages}{end}
            {please}{stop} with the {messages}{end}|no more {messages}{end}|no {messages} please
            enough of your {messages}{end}|enough with the {messages}
            don't send {me} {these} {messages}{end}|do not send {messages} to {me}{end}|don't {text} {me} again{end}
            do not {text} {me} any more{end}|never {text} {me} again{end}|please don't {text} {me}
            I don't want {these} {messages}{end}|I do not wish to receive {these} {messages}{end}
            I no longer want {messages} from you|I don't want to get {messages}{end}
            I didn't ask for {these} {messages}|I never signed up for {messages}{end}|I never agreed to {messages}
            {please}{remove} {my_number} from your {list}{end}|{please}take {my_number} off your {list}{end}
            {please}unsubscribe {my_number} from {these} {messages}{end}
            opt {my_number} out of {these} {messages}{end}|I want to opt out of {these} {messages}
            {please}get {my_number} off the {list}
            {please}cancel {these} {messages}{end}|{please}end {these} {messages}{end}
            turn off {these} {messages}{end}|switch off the {messages}{end}|disable {messages} for {me}
            too many {messages}{end}|I get too many {messages} from you|sick of your {messages}
            so tired of your {messages}{end}|fed up with {these} {messages}|your {messages} are annoying{end}
            your {messages} are not welcome|the {messages} are driving me mad, {stop} them
            how do I stop {these} {messages}|how can I get off your {list}|how do I opt out of {messages}
            where do I unsubscribe from {these} {messages}|why do you keep {texting} {me}
            why am I getting {these} {messages}|when will you {stop} {texting} {me}
            I withdraw my consent to {messages}|you have no permission to {text} {me}|I will report your {messages}
            I'll block you if you {text} {me} again|I will report you if you {text} {me} again
            one more of your {messages} and I call my lawyer
            would you mind not {texting} {me}|I'd rather you didn't {text} {me}|I would like the {messages} to {stop}
            could the {messages} stop{end}|make the {messages} stop|not interested in your {messages}
            no interest in {messages} from you|keep your {messages} to yourself|no need to {text} {me} again
            you have the wrong {person}{end}|wrong {person}|you've got the wrong {person}
            I think this is the wrong {person}|I am not {name}|this isn't {name}|there is no {name} here
            nobody called {name} here|I don't know any {name}|{name} doesn't have this number any more
            {name} died, please stop|{name} passed away{end}|this is no longer {name}'s number
            I'm not your customer{end}|I don't have an account with you{end}|never had an account with you
            I left you years ago, stop {texting} {me}
            reported{end}|reporting you|reported and blocked|I am reporting this number|I will block you|blocked{end}
            this is harassment{end}|you are harassing {me}|leave {me} alone{end}|go away{end}|get lost{end}|clear off
            don't call {me}{end}|do not ring {me}|stop calling {me}|put {my_number} on your do not call list
            I am on the do not call list|no consent given for {messages}|I revoke consent for {messages}
            I object to {messages}|how did you get my number, delete it|I opted out of {messages} already
            I asked you to stop {texting} {me}|I have told you to stop
            I unsubscribed last week and still get {messages}|great service but stop {texting} {me}
            I like the {thing} but no more {messages}|fix my {thing} and stop {texting} {me}
            I already have the {offer}, stop {texting} {me}""",
        "other": """{please}{stop} {charging}{end}|why do you keep {charging}|I want you to stop {charging}
            when will you stop {charging}|you keep {charging}|don't start {charging} again|tired of you {charging}
            no more {fees}{end}|enough of the {fees}{end}|enough with the {fees}|too many {fees}{end}
            sick of the {fees}|so tired of {fees}|fed up with the {fees}|I've had enough of {fees}
            the {fees} are annoying|when will the {fees} stop|the {fees} must stop|can you stop the {fees}
            I don't want {addon}{late}|I never signed up for {addon}{late}|I didn't ask for {addon}{late}
            please don't give me {addon}|I no longer need {addon}|do I need {addon}|no {addon} please
            how do I stop {addon}|I never agreed to {addon}|not interested in {addon}|please cancel {addon}
            {please}remove the {fee} from my {bill}{end}|take the {fee} off my {bill}{end}
            delete the {fee} from my {bill}|drop the {fee} please|{please}cancel the {fee}{late}
            {please}cancel my {booking}{end}|please move my {booking}|don't cancel my {booking}{end}
            who cancelled my {booking}|stop the {booking} please, I am away
            {please}turn off {feature}{end}|switch off {feature} on my {bill}|how do I turn off {feature}
            how do I stop {feature}|{feature} won't turn off|can I disable {feature}
            the {thing} is {broken}{when}|my {thing} is {broken}{when}|your {thing} is {broken}{when}
            {thing} {broken}{when}|the {thing} keeps {drops}{when}|my {thing} stopped working{when}
            my {thing} won't stop {drops}|the {thing} never works{when}|no {thing}{when}|please fix the {thing}{when}
            I can't use the {thing}{when}|make the {thing} stop {drops}|when will the {thing} be back
            the {thing} ends too early|I hate the {thing}|the {thing} drives me mad|leave the {thing} alone
            {please}don't raise {money}{end}|stop changing {money}{late}|you changed {money} without asking
            {money} is too high|never again will I pay {money} twice|please check {money}
            can I cancel {later}|can I stop it {later}|is it possible to leave {later}|can I end my {plan} {later}
            what happens if I cancel {later}|please don't cancel my {plan}|don't end my {plan}{end}
            do not stop my {plan}|when does my {plan} end|when does the {offer} end
            does the {offer} stop after a month|I don't want to lose my {plan}|I won't cancel my {plan}
            I'm not cancelling my {plan}|why was my {plan} stopped
            I will report the {thing} to the regulator|I'll complain about the {fee}|my card was blocked
            the code by text never arrives|my texts to friends don't go through|I don't get the verification text
            nobody answers my emails|you never call me back|no one replied to my message
            how do I contact you about the {thing}|please call me about my {thing}|text me when the {thing} is back
            email me the {bill} please
            how much is the {offer}|is the {offer} real|what is the {offer} for|can I get more than {offer}
            is the {offer} for my {plan}|I'll think about the {offer}|does the {offer} apply to my {plan}
            thanks for the {offer}, I'll think about it|who can help me with my {thing}|you keep losing my {booking}
            keep me posted about the {thing}|I already have the {offer}|not sure about the {offer}
            I don't get {code}{when}|I never receive {code}|I'm not receiving {code}{when}|{code} don't arrive{when}
            I can't send texts to {others}|texts to {others} don't send|calls to {others} don't go through
            I stopped receiving {code}|why am I not getting {code}|no {code} since yesterday|I need {code}
            my messages to {others} fail|stop blocking {code}|where is {code}|I wrote to you and nobody answered
            nobody contacted me about my {booking}|you never contacted me about my {booking}
            you don't reply to emails|I get spam on my account, can you block it
            a stranger keeps calling me, can you block him|can you block scam calls on my {plan}
            someone else is texting me on your network
            please don't unsubscribe {me}|do not unsubscribe {me}|don't remove {me} from the {list}
            please don't take {me} off the {list}|don't stop the {messages}|never stop sending me {offer}
            do not opt {me} out|I don't want to unsubscribe|I don't want to stop the {messages}
            please do not cut {me} off|don't disconnect {me}|please don't disconnect my {plan}
            are you going to cut {me} off
            keep {keepword}|keep {keepword} please|please keep {keepword}|{name} will reply later
            I'll tell {name} you texted|this is {name}'s wife, I'll pass it on|call {name} about the {booking}
            {name} is at work now|my name is {name}|{name}|I spoke to {name} about my {thing}|my agent was {name}
            has the number on my {bill} been changed|the wrong number is on my {bill}|wrong address on my {bill}
            I got the wrong {booking}|you sent the wrong {thing}|what is your number|who is texting
            who is this please|what number can I call about my {thing}|I can't reach anyone about my {thing}
            what happened to my {offer}|I lost the message, what was the {offer}
            what time do you open|what time does the {thing} start|are you open {later}|moving house {later}
            I moved last week|we are moving, what about my {plan}|wrong {booking} delivered
            the {booking} came damaged|it stops every ten minutes|it stops {when}|it drops every hour
            it turns off by itself|end of {plan} date please|when is the end of my {plan}|unsubscribe me from {addon}
            unsubscribe from the premium channel please|opt me out of {addon}|I want out of {addon}
            fed up with slow {thing}|sick of waiting for my {booking}|I am tired of waiting on hold
            I've been waiting for hours|stop the overcharging|stop overbilling|I don't want to lose {money}
            I don't want to lose my number|no more increases|no more rises please|stop the {fees}
            stop sending the {booking} at 8am|stop delivering the {booking} so late
            stop sending me the wrong {booking}|stop sending {addon}|stop cancelling my {booking}|can I stop {later}
            can I pause {later}|is this a one off {offer}|is this {offer} once only|how long will the works take
            the agent was rude {when}|nobody came for the {booking}|nobody told me about the {fee}
            I was overcharged {when}|charged for {addon} I never ordered|refund the {fee} please
            the {thing} is not what I pay for|terrible {thing} {when}|bad {thing}|slow {thing} {when}
            worst {thing} ever, fix it|you lost my {booking}|you took {addon} off my {bill}|where is my {booking}
            my {thing} was cut off {when}|please reconnect my {thing}|I have paid already, why is the {thing} off
            you blocked my {thing}|my {plan} was cancelled by mistake""",
        "keep": """keep the {offer}{end}|keep my {offer}{end}|{please}keep the {offer} for me
            I want to keep the {offer}{end}|I'd like to keep my {offer}{end}|yes keep the {offer}{end}
            I will keep the {offer}{end}|I accept the {offer}{end}|I'll take the {offer}{end}|yes to the {offer}
            {please}apply the {offer}|yes please, I want the {offer}|give me the {offer}{end}|sure, keep the {offer}
            we'd love to keep the {offer}|happy to accept the {offer}|KEEP, I'll take the {offer}
            sign me up for the {offer}|go ahead with the {offer}|KEEP and thanks for the {offer}""",
        "resume": """{please}start {texting} {me} again{end}|resume the {messages}{end}
            {please}turn the {messages} back on|{please}switch {messages} on again|I want your {messages} again{end}
            I'd like to receive {messages} again|{please}send me {messages} again|you can {text} {me} again
            {please}put {my_number} back on your {list}|add {my_number} to your {list} again
            sign me up for {messages} again|subscribe me to {messages} again|opt me back in to {messages}
            re-enable {messages} for {me}|restart the {messages}{end}|I unsubscribed from your {messages} by mistake
            I opted out of {messages} by accident|undo my opt out from {messages}
            I sent STOP by mistake, please {text} {me} again|I changed my mind, {text} {me} again
            ignore my stop, I want the {messages}|can I get your {messages} again|I miss your {messages}, start again
            I agree to get {messages} again""",
        "unclear": """{please}cancel my {plan}{end}|{please}close my {plan}{end}|{please}terminate my {plan}{end}
            I want to end my {plan}{end}|I am leaving, close my {plan}|disconnect my {plan}|stop my {plan}{end}
            I want to cancel my {plan} {later}|I don't need my {plan} any more|I'm thinking of cancelling my {plan}
            how do I cancel my {plan}|I quit, end my {plan}""",
    },
    "es": {
        "stop": (
            "{stop} {texting}|no quiero más {messages}|no más {messages}|no quiero recibir {messages}|basta "
            "de {messages}|ya no quiero {messages}|no me envíen más {messages}|no me manden {messages}"
            "|quítenme de su {list}|borren mi número de su {list}|eliminen mis datos de la {list}|cancelen "
            "los {messages}|estoy harto de sus {messages}|sus {messages} me molestan|cómo dejo de recibir "
            "{messages}|demasiados {messages}"
        ),
        "other": (
            "{stop} {charging}|no quiero más {fees}|no más {fees}|basta de {fees}|estoy harto de los {fees}"
            "|demasiados {fees}|{thing} {broken}|quiten el {fee} de mi factura|cancelen el {fee}|no quiero el "
            "{fee}|nunca pedí el {fee}|cuándo vuelve {thing}|por qué {thing} {broken}"
        ),
    },
    "fr": {
        "stop": (
            "{stop} {texting}|je ne veux plus de {messages}|plus de {messages} svp|je ne souhaite plus "
            "recevoir de {messages}|assez de {messages}|stop aux {messages}|ne m'envoyez plus de {messages}"
            "|pas de {messages} svp|retirez-moi de votre {list}|supprimez mon numéro de votre {list}"
            "|effacez-moi de la {list}|j'en ai marre de vos {messages}|vos {messages} me dérangent|comment ne "
            "plus recevoir de {messages}|trop de {messages}"
        ),
        "other": (
            "{stop} {charging}|je ne veux plus de {fees}|plus de {fees} svp|assez de {fees}|marre des {fees}"
            "|trop de {fees}|{thing} {broken}|retirez les {fee} de ma facture|annulez l'{fee}|je ne veux pas "
            "de {fee}|je n'ai jamais demandé de {fee}|quand revient {thing}|pourquoi {thing} {broken}"
        ),
    },
    "de": {
        "stop": (
            "{stop} {texting}|ich will keine {messages} mehr|keine {messages} mehr bitte|ich möchte keine "
            "{messages} erhalten|genug {messages}|schluss mit den {messages}|schicken sie mir keine "
            "{messages} mehr|bitte keine {messages}|nehmen sie mich von der {list}|löschen sie meine nummer "
            "aus der {list}|streichen sie mich von ihrer {list}|ich habe genug von ihren {messages}|ihre "
            "{messages} nerven|wie bestelle ich die {messages} ab|zu viele {messages}"
        ),
        "other": (
            "{stop}, {charging}|ich will keine {fees} mehr|keine {fees} mehr bitte|genug {fees}|schluss mit "
            "den {fees}|ich habe genug von den {fees}|zu viele {fees}|{thing} {broken}|nehmen sie die {fee} "
            "von meiner rechnung|stornieren sie die {fee}|ich will die {fee} nicht|ich habe nie eine {fee} "
            "bestellt|wann geht {thing} wieder|warum {broken} {thing}"
        ),
    },
    "pt": {
        "stop": (
            "{stop} {texting}|não quero mais {messages}|chega de {messages}|não quero receber {messages}|sem "
            "mais {messages}|não me enviem {messages}|não me mandem mais {messages}|me tirem da {list}"
            "|removam meu número da {list}|apaguem meus dados da {list}|estou farto das {messages}|suas "
            "{messages} incomodam|como paro de receber {messages}|cancelem as {messages}"
        ),
        "other": (
            "{stop} {charging}|não quero mais {fees}|chega de {fees}|sem mais {fees}|estou farto das {fees}"
            "|{thing} {broken}|tirem a {fee} da minha fatura|cancelem a {fee}|não quero a {fee}|nunca pedi a "
            "{fee}|quando volta {thing}|por que {thing} {broken}"
        ),
    },
    "it": {
        "stop": (
            "{stop} {texting}|non voglio più {messages}|basta {messages}|non voglio ricevere {messages}"
            "|niente più {messages}|non mandatemi più {messages}|non inviatemi {messages}|toglietemi dalla "
            "{list}|cancellate il mio numero dalla {list}|rimuovetemi dalla vostra {list}|sono stufo dei "
            "vostri {messages}|i vostri {messages} mi disturbano|come non ricevere più {messages}|troppi "
            "{messages}"
        ),
        "other": (
            "{stop} {charging}|non voglio più {fees}|basta {fees}|niente più {fees}|sono stufo dei {fees}"
            "|troppi {fees}|{thing} {broken}|togliete l'{fee} dalla bolletta|annullate l'{fee}|non voglio "
            "l'{fee}|non ho mai chiesto l'{fee}|quando torna {thing}|perché {thing} {broken}"
        ),
    },
    "ru": {
        "stop": (
            "не присылайте мне {messages}|больше не надо {messages}|хватит {messages}|не хочу получать "
            "{messages}|не нужно {messages}|надоело получать {messages}|удалите меня из рассылки {messages}"
            "|перестаньте слать {messages}|я не хочу {messages}"
        ),
        "other": (
            "{thing} {broken}|почему {thing} {broken}|опять {thing} {broken}|хватит {fees}|надоело от {fees}"
            "|не хочу {fees}|когда починят {thing}"
        ),
    },
    "tr": {
        "stop": (
            "bana {messages} atmayın|{messages} göndermeyin|{messages} istemiyorum|artık {messages} almak "
            "istemiyorum|{messages} yollamayı bırakın|daha fazla {messages} istemiyorum|{messages} almaktan "
            "bıktım|beni {messages} listesinden çıkarın"
        ),
        "other": (
            "{thing} {broken}|neden {thing} {broken}|{fees} istemiyorum|{fees} bıktım|artık {fees} olmasın"
            "|{thing} ne zaman düzelecek"
        ),
    },
    "pl": {
        "stop": (
            "nie wysyłajcie mi {messages}|nie chcę {messages}|dość {messages}|nie chcę otrzymywać {messages}"
            "|proszę nie przysyłać {messages}|przestańcie wysyłać {messages}|mam dość waszych {messages}"
            "|usuńcie mnie z listy {messages}"
        ),
        "other": (
            "{thing} {broken}|dlaczego {thing} {broken}|dość {fees}|mam dość {fees}|nie chcę {fees}|kiedy {thing} wróci"
        ),
    },
    "nl": {
        "stop": (
            "stuur mij geen {messages} meer|geen {messages} meer|ik wil geen {messages} meer|genoeg {messages}"
            "|ik wil geen {messages} ontvangen|stop met die {messages}|haal mij van de lijst voor {messages}"
            "|ik ben jullie {messages} zat"
        ),
        "other": (
            "{thing} {broken}|waarom {broken} {thing}|geen {fees} meer|genoeg {fees}|ik ben de {fees} zat"
            "|stop met de {fees}|wanneer werkt {thing} weer"
        ),
    },
    "zh": {
        "stop": (
            "不要再给我发{messages}|别发{messages}了|请停止发送{messages}|不想收到{messages}|不需要{messages}"
            "|我不要{messages}"
            "|取消{messages}|拒收{messages}|别再给我发{messages}|停止{messages}"
        ),
        "other": (
            "{thing}{broken}|为什么{thing}{broken}|我家{thing}{broken}|不要再{fees}|别{fees}了|停止{fees}"
            "|什么时候修好{thing}"
            "|我的{thing}怎么回事"
        ),
    },
    "ar": {
        "stop": (
            "لا ترسلوا {messages}|لا أريد {messages}|أوقفوا {messages}|كفى {messages}|لا أرغب في استقبال "
            "{messages}|توقفوا عن إرسال {messages}|احذفوا رقمي من {messages}|لا تبعثوا لي {messages}"
        ),
        "other": (
            "{thing} {broken}|لماذا {thing} {broken}|لا أريد {fees}|كفى {fees}|توقفوا عن {fees}|متى يعود {thing}"
        ),
    },
    "hi": {
        "stop": (
            "मुझे {messages} मत भेजो|{messages} बंद करो|मुझे {messages} नहीं चाहिए|और {messages} मत भेजिए"
            "|{messages} भेजना बंद करें|आपके {messages} नहीं चाहिए|{messages} रोको"
        ),
        "other": (
            "{thing} {broken}|मेरा {thing} {broken}|{thing} क्यों {broken}|{fees} बंद करो|{fees} कब बंद होगा"
            "|{thing} कब ठीक होगा"
        ),
    },
    "ja": {
        "stop": (
            "もう{messages}を送らないでください|{messages}は不要です|{messages}を止めてください"
            "|{messages}の配信を停止してください|{messages}はいりません"
            "|{messages}を受け取りたくありません|{messages}を解除したい"
        ),
        "other": (
            "{thing}{broken}|なぜ{thing}{broken}|また{thing}{broken}|{fees}をやめてください|{fees}は困ります"
            "|{fees}はもうたくさん"
            "|{thing}はいつ直りますか"
        ),
    },
    "ko": {
        "stop": (
            "{messages} 보내지 마세요|{messages} 그만 보내세요|{messages} 받고 싶지 않아요|{messages} 필요 없어요"
            "|{messages} 수신 거부합니다"
            "|더 이상 {messages} 원하지 않아요|{messages} 차단해 주세요"
        ),
        "other": (
            "{thing}{broken}|왜 {thing}{broken}|{fees} 그만하세요|{fees} 너무 많아요|또 {fees}|{thing} 언제 고쳐요"
        ),
    },
    "id": {
        "stop": (
            "jangan kirim {messages} lagi|stop kirim {messages}|tidak mau {messages} lagi|saya tidak ingin "
            "menerima {messages}|berhenti mengirim {messages}|hapus nomor saya dari {messages}|cukup "
            "{messages}nya"
        ),
        "other": (
            "{thing} {broken}|kenapa {thing} {broken}|jangan ada {fees} lagi|cukup {fees}|capek dengan {fees}"
            "|kapan {thing} normal lagi"
        ),
    },
    "vi": {
        "stop": (
            "đừng gửi {messages} nữa|ngừng gửi {messages}|tôi không muốn nhận {messages}|không cần {messages}"
            "|dừng {messages} lại|xóa số tôi khỏi {messages}|đừng nhắn {messages} cho tôi"
        ),
        "other": "{thing} {broken}|sao {thing} {broken}|đừng {fees} nữa|không muốn bị {fees}|khi nào {thing} có lại",
    },
}
"""Patterns by language and kind."""


def made_phrases(seed: int) -> Iterator[Phrase]:
    """Up to `PER_PATTERN` sentences of each pattern, filled at random."""
    rng = np.random.default_rng(seed)
    for language, kinds in PATTERNS.items():
        slots = {name: words.split("|") for name, words in SLOTS[language].items()}
        for kind, patterns in kinds.items():
            for pattern in filter(None, re.split(r"\s*[|\n]\s*", patterns)):
                texts = {filled(pattern, slots, rng) for _ in range(PER_PATTERN)}
                yield from (Phrase(language, kind, SENTENCE, text) for text in sorted(texts))


def filled(pattern: str, slots: Mapping[str, Sequence[str]], rng: np.random.Generator) -> str:
    return re.sub(r"\{(\w+)\}", lambda slot: str(rng.choice(slots[slot[1]])), pattern)
