"""What the words of a reply are about: messages, stopping, the bill, … in many languages.

The classifier learns from their order too, so that what it learned of one word or language holds for others.
"""

import re
from functools import lru_cache

from services.policy.replies.words import normalize

CONCEPTS = {
    # messages and contact
    "c": """text- txt- messag- msg- sms mms e-mail- email- mail- mailing- contact- notif- alert- newsletter- spam-
        promo- promos marketing
        advert- ads communicat- correspond- write writing reach- whatsapp broadcast- solicit- outreach inbox blast-
        ping pinging
        hear hearing send- sent
        mensaj- escrib- correo- publicid- propagand- promocion- contact- comunicac- avis- boletin-
        messag- ecri- courriel- publicit- pub pubs demarch- sollicit- notific- contacte- newsletter-
        nachricht- schreib- werb- kontakt- mails anschreib- reklame benachricht- meldung- newslettern
        mensagen- mensagem escrev- propagand- contat- contact- divulgac- comunic-
        messagg- scriv- scrivet- pubblicit- comunicaz- contatt- promozion-
        bericht- schrijv- reclame- contacteer- benader- stuur- appje- mailtjes
        wiadomosc- pis- esemes- reklam- kontakt- powiadom- smsy smsow maile mailow newsletter-
        сообщен- смс пиш- писа- рассыл- реклам- спам- контакт- уведомл- смск- эсэмэс- повідомл-
        mesaj- yaz- reklam- ileti- bildirim- iletisim- sms-
        رسای- رسال- الرسای- الرساءل رسائل الرسائل تراسل- ترسل- اعلان- الاعلان- اشعار- مراسل- پیام- پیامک- تبلیغ- میسج-
        پیغام- رابط-
        मैसेज- संदेश- संदेशों एसएमएस मेसेज- विज्ञापन- संपर्क मैसेजेस message- msg-
        মেসেজ- বার্তা- এসএমএস বিজ্ঞাপন- যোগাযোগ- মেসেজগুলো
        pesan- iklan- promosi- hubungi- menghubungi chat- kirim- mengirim- sms-
        nhan tin quang lien gui
        ujumbe jumbe- meseji matangazo tangazo
        meddelande- beskeder besked meldinger reklam- kontakt- viesti- mainos- zprav- sdelen- uzenet- reklam- mesaj-
        mensahe text- μηνυμα- διαφημισ- הודעות הודעה פרסומות smsy""",
    # stopping
    "s": """stop- quit quitting cease- desist end ends ending halt- discontinu- remov- delet- eras- unsub- unsuscrib-
        cancel- opt opting
        optout off enough drop leave refrain- avoid blacklist- dnc dnd registry unregister- rmv suppress- switch
        disable- deactivat- scrub- exclude-
        parar paren pare par- dej- basta ces- detener detengan quit- borr- elimin- saqu- saca- baja desuscrib- alto-
        cancel- bloque-
        arret- cess- desabonn- desinscri- retir- suppr- supprim- efface- enlev- stoppe- raye- assez marre resili- bloqu-
        stopp- aufhor- hor- loschen losch- abmeld- abbestell- austrag- entfern- streich- beend- unterlass- einstell-
        lass- lasst abmelde- schluss genug
        par- pare parem deix- remov- exclu- tir- apagu- apag- descadastr- desinscre- retir- chega cancel- bloque-
        smett- basta ferm- cancell- rimuov- tolga- togli- toglie- elimin- disiscri- disdi- cessat- piantatel- bloccat-
        stop- afmeld- verwijder- uitschrijv- uitschrijf haal- hou- genoeg schrap- ophoud- opzeg- beeindig-
        przesta- wypis- usun- usunac skonczcie zaprzesta- zrezygn- rezygn- wykresl- dosc koniec zablok-
        хватит прекрат- переста- отпис- отпиш- удал- убер- остановит- отключ- исключ- довольно надоел- заблок-
        вычеркн- отзыва-
        dur- birak- kes- sil- cikar- iptal- vazgec- ayril- engelle- son yeter bikt-
        توقف- اوقف- ایقاف- اوقفوا کف- کفی- احذف- حذف- امسح- الغاء- الغ- قف- بس لغو- قطع- حذفم نفرست- بند- روک- ختم-
        ہٹا- نکال- بلاک-
        बंद- रोक- हटा- निकाल- स्टॉप रद्द- ब्लॉक- band roko hata- mat bas
        বন্ধ- থাম- সরা- বাদ মুছ- বাতিল-
        berhenti- hentikan- hapus- stop- keluar- batal- setop- cukup- blokir- jangan
        dung ngung huy xoa ngung chan
        acha- ache- ondo- simam- sitish- komesh- futa- koma-
        sluta- slut- stopp- avregistr- avsluta- ta- slet- fjern- lopet- poista- prestan- odhlas- smaz- vymaz- torol-
        leiratkoz- sterge- sterg- opri- dezabon- scoate- itigil- tigil- tama alisin- burahin- σταματ- διαγρα- αφαιρ-
        הסר- הסיר- תפסיק- להסיר- מחק- להפסיק- די""",
    # negation
    "n": """not no dont do-not never nothing none nor cant cannot wont didnt doesnt isnt arent wasnt wouldnt shouldnt
        couldnt havent hasnt
        without neither aint nobody no-longer dnt
        no nunca jamas sin ningun- tampoco ni ne pas plus jamais aucun- sans rien nicht kein- nie niemals ohne nichts
        nix
        nao nunca jamais sem nenhum- nada nem non mai senza nessun- niente niet geen nooit zonder niets nie bez zaden-
        zadnych
        не нет никогда без ни больше нікол- немає hayir degil asla yok istemi- etme- yazma- gonderme- arama-
        لا لم لن لیس بدون ابدا ما غیر لست نه نمی- نمیخواهم نخواهم هرگز نہیں مت نا کبھی नहीं मत ना नही कभी न nahi mat
        na না নয় নাই চাই-না কখনো
        tidak jangan bukan tanpa nggak gak ga tak khong dung chang cha hindi wag huwag wala hapana si usi- sita- inte
        ej aldrig ikke aldrig ei en ala alkaa ne neni nechci nem ne nu nicio niciun δεν μη μην οχι לא אל אין בלי""",
    # wanting, receiving
    "w": """want- wish- wanna need- like care prefer receiv- get gets getting got interest- require- appreciat-
        welcome ask- sign- consent- agree- subscrib-
        quier- desea- dese- recib- interes- autoriz- suscri- gustaria gusta consent- veux veut souhait- voul- recev-
        recoi- interess- autoris- inscri- accept-
        will wollen mocht- wunsch- erhalt- bekomm- interess- kriegen zugestimmt zustimm- quer- queria desej- receb-
        interess- autoriz- vogl- voglio desider- ricev- interess- autorizz-
        wil wens- ontvang- krijg- geinteress- toestemm- chc- zycz- dostaw- otrzymyw- zainteres- zgod- wyraz- хоч- хот-
        жела- получ- интерес- соглас- надо нужн- ist- al- ilgi- onay- izin-
        ارید اریده ارغب استقبل استلام اهتم مهتم موافق میخواهم میخوام خواهم دریافت چاہ- ملن- चाह- चाहिए मिल- रुचि
        chahiye চাই- পেতে আগ্রহ- ingin mau menerima terima tertarik muon nhan quan gusto ayoko ayaw tumanggap taka-
        nataka sitaki pokea vill onsker vil halua- chci zadam akarok kerek vreau doresc θελω רוצה מעוניין""",
    # again, any more
    "g": """again more anymore any further ever other another additional future all these this those such mas otra
        vuelv- vuelva- nunca-mas ninguno encore davantage autre- tous toutes ces cette mehr wieder weitere- noch alle
        diese- mais novamente outra- mais-nenhum essas esses piu ancora altri altre questi queste meer opnieuw weer
        deze alle wiecej znowu juz tych te больше еще снова опять эти этих daha bir tekrar artik bu مره اخری المزید
        بعد هذه هذا ثانیه دیگر دوباره اب دوبارہ مزید یہ अब और दोबारा फिर ये यह ab aur আর আবার এই এসব lagi ini itu nua
        lai them nay nua tena zaidi hizi muli pa ito mer fler igen mere flere enaa uz dalsi tobb mai aceste αλλα ξανα
        αυτα יותר שוב""",
    # me, my number
    "m": """me us my our number phone name mom mum mother father dad husband wife son daughter i im i-am we
        me mi nos numero telefono yo soy mon numero moi je nous telephone mich mir meine- nummer ich bin uns meu minha
        eu numero mio mia io numero mij mijn nummer ik mnie moj- numer mi jestem мне меня мой моего номер я нас beni
        bana numara- ben benim لی رقمی رقم انا نی من شماره مرا مجھے میرا نمبر मुझे मेरा नंबर मैं मेरे mujhe mera আমাকে
        আমার নাম্বার নম্বর আমি saya nomor aku toi so minh ako ko akin numero mimi nambari yangu mig mitt nummer mit
        nummer minulle numero me cislo moje szam engem numar eu με μου αριθμο אותי לי שלי מספר""",
    # you
    "y": (
        "you your yours u ur yall guys people company ustedes vosotros vous votre vos ihr ihre sie euch euer "
        "eure voce voces seu seus sua voi vostr- vi jullie uw u wasze wy was вы вас вам ваш- siz sizin انتم "
        "کم شما تم آپ آپ-کے आप आपके tum aap আপনি আপনারা আপনাদের anda kalian ban ninyo niyo ni er eder din vas "
        "vase"
    ),
    # list, consent, permission
    "l": (
        "list- database record- system books consent- permission- gdpr details data info lista base datos "
        "consentimiento permiso liste fichier consentement donnees datenbank verteiler einwillig- daten liste "
        "dados cadastro consentimento elenco consenso dati lijst bestand toestemming gegevens liste bazy baza "
        "zgod- danych список списк- баз- соглас- данн- liste- izin onay veri قائمه القائمه موافقت- بیانات "
        "لیست फेहरिस्त सूची लिस्ट লিস্ট তালিকা daftar danh sach listahan orodha"
    ),
    # the service and its objects: what complaints are about
    "o": """bill bills billed billing charg- fee fees price- pric- refund- invoice- payment- pay paid paying money
        card cards autopay debit cost- rate rates
        wifi wi internet broadband signal connection network router modem line lines outage- speed slow data app apps
        website site page login log password code box boxes tv channel- stream- show shows film- sound picture
        delivery deliver- order- parcel meter power electric- gas water heating class gym shower- engineer technician
        visit appointment booking phone-line roaming voicemail callback support agent- service-is call- queue hold
        update- screen error bug crash- frozen buffer- drop drops dropping dropped server- dashboard report- broken
        work works working meal- chicken driver- machine- trainer- door battery sim coverage
        factura- cobr- cobro- cargo- pago pagar precio tarifa red senal corte- conexion luz agua tecnico pedido
        tarjeta dinero reembols- multa lento velocidad
        facture- factur- prelev- frais prix paiement rembours- reseau connexion coup- panne- debit box livr- commande
        technicien carte lent coupe- ligne
        rechnung- gebuhr- preis- abbuch- bezahl- zahl- geld internet- netz verbindung leitung wlan router techniker
        liefer- bestell- storung- ausfall langsam strom karte funktioniert kaputt
        fatura- conta cobran- cobr- preco taxa pagament- dinheiro sinal conexao rede tecnico entrega pedido cartao
        lent- energia luz
        fattur- bollett- addebit- prezz- costo pagament- soldi rimbors- rete linea connessione segnale tecnico
        consegna ordine carta lent- guasto
        rekening factuur kosten prijs betal- geld verbinding netwerk storing monteur levering bestelling kaart traag
        werkt kapot
        rachun- faktur- oplat- cen- plat- pieniadz- siec zasieg polacz- awari- technik dostaw- zamow- karta wolny dziala
        счет- счёт- плат- цен- деньг- списыва- списал- интернет- связ- сет- роутер- техник- доставк- заказ- карт-
        медленн- работа- сломал- отключа- тариф-
        fatura- ucret- fiyat- ode- para internet- baglanti sinyal modem teknisyen teslimat siparis kart yavas calis-
        kesil-
        فاتوره فواتیر الفاتوره رسوم سعر الاسعار دفع الدفع مال الانترنت انترنت الشبکه اتصال الاشاره توصیل طلب بطاقه
        بطیء قبض اینترنت شبکه قطعی بل پیسے انٹرنیٹ نیٹ سگنل
        बिल पैसे पैसा कीमत भुगतान शुल्क इंटरनेट नेट नेटवर्क सिग्नल वाईफाई डिलीवरी ऑर्डर कार्ड धीमा रिचार्ज bill paisa
        net recharge
        বিল টাকা দাম ইন্টারনেট নেট নেটওয়ার্ক সিগন্যাল ডেলিভারি অর্ডার কার্ড
        tagihan harga biaya bayar- uang jaringan sinyal koneksi lambat teknisi pesanan kartu hoa don tien gia mang
        cham bili bayad singil mabagal bili bei pesa mtandao raknking- faktura- rakning- regning- pris- betala- lasku-
        uctenk- szamla- internet- factura- plata- λογαριασμ- חשבון כסף אינטרנט""",
    # plan, account, contract: what is cancelled when a customer leaves
    "a": (
        "account- contract- plan plans membership subscription service services policy line provider "
        "switching leaving cuenta contrato linea servicio compte contrat abonnement forfait vertrag konto "
        "tarif abo vertrage contrato conta plano assinatura contratto abbonamento conto contract abonnement "
        "umow- konto договор аккаунт тариф счет hesab- sozlesme- abonelik اشتراکی حسابی عقد حساب قرارداد "
        "अकाउंट प्लान खाता কানেকশন akun kontrak hop-dong tai-khoan"
    ),
    # questions
    "q": (
        "how when why where what who which can could may will does is are was did do should como cuando "
        "por-que donde que quien puedo comment quand pourquoi ou qui quel- puis wie wann warum wo was wer "
        "kann como quando porque onde quem posso come quando perche dove chi posso hoe wanneer waarom waar "
        "wat wie kan jak kiedy dlaczego gdzie co kto czy как когда почему где что кто можно nasil ne-zaman "
        "neden nerede kim کیف متی لماذا این من هل چطور چرا کی کہاں کیا کب कैसे कब क्यों कहाँ क्या कौन kaise "
        "kab kyun কিভাবে কখন কেন কোথায় কি কে bagaimana kapan kenapa mengapa apa siapa sao khi bao"
    ),
    # keeping, accepting
    "k": (
        "keep- accept- take taking conserv- mantener mantengo quedar- acept- gard- accept- behalt- nehm- "
        "annehm- akzept- mant- fic- aceit- manten- tengo accett- behoud- neem zachow- przyjm- остав- сохран- "
        "приним- беру kabul tut- احتفظ- اقبل- قبول- रख- स्वीकार রাখ- simpan terima giu panatili- weka behall- "
        "hold"
    ),
    "d": (
        "offer- discount- deal- percent saving- oferta- descuento- rebaja offre- remise- reduction- promo "
        "angebot- rabatt- desconto- sconto- offert- korting- aanbod aanbieding znizk- rabat- ofert- скидк- "
        "предложен- indirim- teklif- خصم- عرض- العرض تخفیف- ऑफर छूट डिस्काउंट অফার ছাড় diskon penawaran giam "
        "uu"
    ),
    # starting again
    "r": (
        "start- resum- restart- resub- resubscrib- unstop- continu- reactivat- reenabl- re-enable back begin- "
        "undo mistake accident- reanud- reactiv- volver empezar iniciar reprend- reabonn- recommenc- remett- "
        "wieder fortsetz- anmeld- abonnier- retom- reativ- voltar recomec- riprend- riattiv- ricominci- "
        "hervat- heractiveer- aanmeld- wznow- zapis- возобнов- подпис- вернит- включит- basla- yeniden "
        "استانف- استءن- اشترک- ابدا शुरू- चालू- শুরু- চালু- mulai- lanjut- aktifkan- bat-dau dang-ky tiep-tuc "
        "simul- ituloy anza- endelea-"
    ),
    # wrong number, not me
    "x": (
        "wrong number-is mistaken equivocad- equivoc- faux erreur trompe- falsch- verkehrt- errad- engano "
        "sbagliat- verkeerd- pomylk- zly ошиб- yanlis خطا غلط- الخطا गलत- ভুল- salah nham mali makosa fel "
        "forkert vaara spatn- rossz gresit λαθος טעות deceased dead died passed"
    ),
    # threats
    "t": """report- sue suing lawyer- attorney- legal illegal police court complain- complaint- authorities block-
        blocked fcc ftc ico trai regulator- ombudsman
        denunci- abogad- porter-plainte plainte avocat anzeig- anwalt polizei advogad- avvocat- aangifte melden
        rapporteer- zglosz- prawnik- пожал- жалоб- полици- юрист- sikayet- savci- avukat-
        شکوی سابلغ بلاغ شکایت- शिकायत- complaint অভিযোগ lapor- melapor- polisi to-cao bao-cao shitak- ripoti- anmal-
        anmeld- politi- ναγγελ- תלונה תביעה""",
    # annoyance with us
    "u": (
        "annoy- bother- harass- pester- bug bugging disturb- nuisance sick tired fed hate alone peace away "
        "harassment molest- acos- paz hartos harto harcel- tranquille derang- emmerd- genervt nerv- ruhe "
        "belast- storen incomod- perturb- enche- saco paz stuf- pace disturb- molestat- rompet- lastig- rust "
        "stalk- spokoj nekaj- meczycie достал- отста- покое беспоко- rahatsiz rahat taciz ازعاج تزعج- مزعج "
        "مزاحم- اذیت تنگ پریشان परेशान तंग pareshan বিরক্ত ganggu mengganggu phien lam-phien istorbo gulo "
        "sumbu-"
    ),
}
"""Words and, with a hyphen at their end, beginnings of words, by concept."""
_UNSPACED = {
    "c": (
        "短信 短訊 简讯 簡訊 消息 信息 訊息 广告 廣告 推销 推銷 联系 聯繫 邮件 郵件 打扰我 メール メッセージ "
        "連絡 広告 送信 配信 문자 메시지 광고 연락 메일 스팸 알림 ข้อความ "
        "โฆษณา ติดต่อ ส่ง sms 發送 发送 发 發 送ら 送る 보내"
    ),
    "s": (
        "退订 退訂 停止 取消 停 删除 刪除 移除 取消订阅 别 別 不要再 拉黑 够了 解除 中止 やめ 止め 削除 外し "
        "退会 停止 중지 중단 정지 거부 그만 삭제 해지 빼 취소 차단 หยุด "
        "ยกเลิก ลบ เลิก พอ เอาออก บล็อก"
    ),
    "n": "不 没 沒 别 別 无 無 ない ません いりません 不要 なし 안 않 마세요 말 없 싫 마 ไม่ อย่า ห้าม",
    "w": (
        "想 要 需要 收到 接收 感兴趣 同意 授权 欲し 受け取 希望 興味 同意 원하 받고 받 관심 동의 필요 "
        "ต้องการ อยาก รับ สนใจ ยินยอม"
    ),
    "g": "再 更多 任何 もう これ以上 二度と 다시 더 더이상 อีก แล้ว",
    "m": "我 我的 号码 號碼 电话 私 番号 제 내 번호 저 ฉัน ผม เบอร์ หมายเลข",
    "o": (
        "账单 帳單 收费 收費 扣款 扣 费用 費用 价格 價格 钱 錢 网络 網絡 網路 网速 信号 訊號 断网 宽带 "
        "路由器 快递 订单 付款 請求 料金 料金が 請求書 支払 インターネット ネット "
        "回線 電波 配送 注文 요금 청구 결제 인터넷 와이파이 신호 배송 주문 돈 느려 บิล ค่า เงิน "
        "เน็ต อินเทอร์เน็ต สัญญาณ จัดส่ง สั่งซื้อ "
        "ชำระ"
    ),
    "a": "合同 合約 账户 賬戶 帳戶 套餐 契約 アカウント プラン 계약 계정 요금제 สัญญา บัญชี แพ็กเกจ",
    "q": (
        "怎么 怎麼 什么 什麼 何时 为什么 為什麼 吗 嗎 谁 誰 哪 多少 いつ なぜ どう 何 誰 ですか か？ 언제 "
        "왜 어떻게 누구 무엇 뭐 까요 나요 เมื่อไหร่ ทำไม ยังไง "
        "อะไร ใคร ไหม"
    ),
    "k": "保留 接受 キープ 受けます 保持 유지 받을게요 킵 수락 เก็บ รับข้อเสนอ",
    "d": "优惠 優惠 折扣 割引 特典 オファー 할인 혜택 ส่วนลด ข้อเสนอ",
    "r": "恢复 恢復 重新 开始 開始 订阅 訂閱 再開 登録 スタート 시작 재개 구독 เริ่ม สมัคร",
    "x": "错 錯 打错 間違 違います 잘못 아닙니다 ผิด",
    "t": "举报 舉報 投诉 投訴 報警 通報 訴え 신고 고소 แจ้งความ ร้องเรียน",
    "u": "打扰 打擾 骚扰 騷擾 烦 煩 迷惑 しつこい うるさい 귀찮 괴롭 짜증 รบกวน รำคาญ",
}

_whole: dict[str, str] = {}
_stems: dict[str, str] = {}
for _concept, _words in CONCEPTS.items():
    for _entry in _words.split():
        _bare = normalize(_entry.rstrip("-")).replace("-", "")
        (_stems if _entry.endswith("-") else _whole).setdefault(_bare, _concept)
_LONGEST_STEM, _SHORTEST_STEM = max(map(len, _stems)), min(map(len, _stems))
_parts = {normalize(part): concept for concept, words in _UNSPACED.items() for part in words.split()}
_part = re.compile("|".join(map(re.escape, sorted(_parts, key=len, reverse=True))))
_token = re.compile(r"[^\W_][\w\u0900-\u0dff\u0e00-\u0e7f]*|[?؟？\n]")


def concepts(text: str) -> str:
    """The concepts of a normalised text in order, one letter each; other words leave no trace."""
    return "".join(map(_concepts_of_word, _token.findall(text)))


@lru_cache(4096)
def _concepts_of_word(word: str) -> str:
    if word in "?؟？\n":
        return "\n" if word == "\n" else "?"
    if concept := _whole.get(word):
        return concept
    for length in range(min(len(word), _LONGEST_STEM), _SHORTEST_STEM - 1, -1):
        if concept := _stems.get(word[:length]):
            return concept
    return "" if word.isascii() else "".join(_parts[part] for part in _part.findall(word))
