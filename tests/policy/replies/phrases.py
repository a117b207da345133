"""Texts that customers write, each line labelled by hand."""

STOPS = """\
STOP
stop
Stop
StOp
STOP.
stop!!!
"STOP"
'stop'
 stop 
stop please
Please stop
pls stop
plz stop 🙏
STOP 🛑
🛑
🛑🛑🛑
✋
s t o p
S.T.O.P
stooooop
st0p
stpo
sotp
stahp
ＳＴＯＰ
STOP ALL
stopall
Stop it
stop it now
Stop this
STOP THIS NOW
stop texting me
Stop texting
STOP SENDING ME TEXTS
stop sending these
stop messaging me
stop with the messages
stop with all these texts
stop contacting me please
Stop bothering me.
stop harassing me
Stop wasting my time
quit bugging me
quit texting me
I said stop
I said STOP!
ok stop
Ugh. STOP.
No thanks, stop
no. stop
stop, I said
I want to stop these
I'd like to stop receiving these
I want you to stop
please make it stop
Can you stop?
can u please stop
Could you please stop texting me
will you stop
why won't you stop texting me
would you just stop
how do I stop these
How do I unsubscribe?
unsubscribe
UNSUBSCRIBE
Unsubscribe me
unsubscribe please!
unsub
unsubcribe
please unsubscribe me from this list
I would like to unsubscribe
quit
QUIT
Quit.
cancel
Cancel!
CANCEL PLEASE
cancel these messages
cancel my subscription
end
END.
revoke
I revoke my consent
I withdraw my consent to be contacted
opt out
Opt-out
OPTOUT
opt me out
I'm opting out
I want to opt out of this
remove
remove me
Remove me from your list
take me off your list
take me off this list please
delete my number
please delete my phone number
lose my number
forget my number
please don't text me again
Please don’t text me again
dont text me
Don't message me anymore
do not contact me
Do not contact me again.
DO NOT TEXT OR CALL ME
don't call me
don't write to me any more
don't ever text this number again
never text me again
Never contact me again!
never again
I don't want these messages
I don't want any more texts
i dont want to hear from you
I no longer want to receive these messages
I don't wish to be contacted
we do not want your emails
not interested
Not interested, thanks
I'm not interested in your offers
no more
no more texts
No more messages please
no more of these texts
no texts please
no more spam
enough
Enough!
enough with the texts
leave me alone
Leave me alone!!!
LEAVE ME ALONE 😡
just leave me be
please leave us alone
go away
Go away!
get lost
back off
piss off
fuck off
Fuck off and stop texting me
fuck you
shut up
wrong number
Sorry, wrong number
you have the wrong person
this is spam
spam
spammers
This is harassment
I'm going to report you
I'll sue you
blocked your number
I'm blocking you
who is this? stop
Who are you? Don't text me.
I never signed up for this
I didn't consent to this
please cease all contact
cease and desist
end all contact
do not disturb
please no more contact
I would prefer not to be contacted
pls take my name off
No more of this
Do not send any more promotional messages to this phone
I don't need these texts
how can I get off this list
remove this number
remove my number from your database
delete me
stop spamming
don't ever contact me again!!
I'm done with these messages
these texts are annoying
please discontinue
discontinue all messages
kindly stop
kindly remove
Stop already!
for the last time stop
stop u idiots
STOP STOP STOP
STOP please and thank you
i beg you stop
Stop!!! I mean it
stop messages
STOP OFFERS
stop promotions
stop ads
texts not wanted
unwanted texts
I am on the do not call list
no longer interested
uninterested
do not use this number
don't use my number
you don't have permission to text me
You do not have my consent
Never message this number
STOP️
stop:)
don't👏text👏me
Please do not 🙏 contact me
S . T . O . P
Reply STOP to opt out. STOP
but no. Please stop texting me, I already left
I love the service but stop texting me
I can't stop loving this... just kidding, stop texting me
KEEP? no. STOP
Keep away from me and stop texting
Don't stop? No: STOP!
arrêt
Alto
no más
basta
stop👏texting👏me
hey stop
STOP texting my dad, he is dead
I asked you to stop
I told you to stop
i have asked you to stop 3 times
Keep your discount and leave me alone
no contact please
get me off this list
stop sms
stop now
why do you keep texting me? stop it
sToP mEsSaGiNg Me
Don't send me anything
do not send any more messages
don't send me these
please do not send me texts any longer
stop the texts
end these messages
""".splitlines()

OTHERS = """\
I can't stop loving this
I can’t stop loving this
don't stop
Don't stop!
Please don't stop
STOP is what I'd never do
never stop
Non-stop great service
I won't stop using it
I don't want to stop
I do not want you to stop
I don't want to unsubscribe
please don't unsubscribe me
don't remove me
Don't cancel
I wouldn't quit
no need to stop
maybe later
thanks
Thank you!
👍
❤️
lol
who is this?
Who is this
what is the offer?
how much is it?
How does it work?
Is this for real?
when does the offer end?
When does this offer end
Does the discount end in December?
the bus stop is on the corner
I'll stop by the shop tomorrow
I will stop by
meet me at the stop
Please text me later
text me tomorrow
call me
Call me back please
can you call me?
please contact me about my bill
My internet does not work
the internet stopped working
my service stopped
It stopped yesterday
I lost my phone
please send me the details
Send more info
Can you message me the price?
I never had a problem
I don't have the app
I already have this
What about 20%?
I love it, don't stop
great, thanks
see you at the end of the month
at the end of the day it's fine
the weekend works
in the end I stayed
I want to upgrade
Can I upgrade?
how do I pay?
where is my bill?
my removal van comes on Friday
cancelled my old provider, I'm with you now
I would never leave
we're happy
I am interested
very interested
you never let me down
help
HELP
HELP!
I need help
hello
hi
Good morning
I can't wait
You did not send me my bill
at the end of the day call me
I can't text this week
I can't live without your texts
Reply STOP to opt out. Who is this?
you rock, non stop
when you stop by, call me
Is there a stop near the shop?
please do not forget my discount
I forgot my password
can I change my number?
the price is fine
let me think about it
how do I get the discount?
""".splitlines()

KEEPS = """\
KEEP
keep
Keep
keep!
KEEP.
"KEEP"
keep 👍
Keep please
KEEP it
yes keep
Yes, KEEP!
ok keep
I'd like to keep it
I want to keep my plan
keep the offer
keep my discount, thanks
Yes please keep it
  keep  
ＫＥＥＰ
KEEP thank you so much!
let me keep it
Reply STOP to opt out. KEEP
I will keep it
Keep!
keep it
Keep my plan
""".splitlines()

NEVER_KEEPS = """\
don't keep it
I don't want to keep it
do not keep
keep away
Keep quiet
keep your offer
keep your money
keep texting me
Should I keep it?? what is it
keep out
keeper
I can keep it, but not at that price
not keep
upkeep
don't keep it for me
I won't keep it
you can keep your discount
keep or not?
keep up the good work
keep me posted
keep in touch
KEEP STOP
stop keep
""".splitlines()

UNCLEAR = """\
yes
YES
no
No thanks
no thank you
nope
maybe
ok
not sure
not now
Not today
too expensive
I don't know
I don't understand
Yes
sure
?
cancel my plan
close my account
terminate my contract
I want to cancel my contract
you people are thieves
""".splitlines()
